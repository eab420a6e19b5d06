"""From the detections of each frame to the events that a person wants to hear of."""
