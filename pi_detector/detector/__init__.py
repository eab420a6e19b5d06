"""What runs from a frame to detections: runtime adapter, bundle, preprocessing, decoding, NMS."""
