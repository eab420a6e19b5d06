"""Frames worth labelling: which ones, where they lie, and their export."""
