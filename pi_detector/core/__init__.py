"""The values that pass between the rooms: frames, boxes, records, readings, times."""
