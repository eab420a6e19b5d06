"""What a model finds, measured through the detector that the device runs."""
