"""Folders for detectors of one's own."""
