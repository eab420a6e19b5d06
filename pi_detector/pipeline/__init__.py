"""The pipeline: connects sources, detector, events and sinks."""
