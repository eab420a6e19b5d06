"""From a frame to detections: runtime, model bundle, preprocessing, decoding, NMS."""
