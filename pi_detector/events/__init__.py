"""From the detections of each frame to events: motion gate, tracker, zones, life cycle."""
