"""The machine: where sources, detector, events and sinks meet."""
