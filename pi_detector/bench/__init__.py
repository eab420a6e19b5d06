"""Measures the cost of detection on this device, by stage and end to end: ``pi-detector bench``."""
