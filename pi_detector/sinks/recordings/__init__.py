"""Recordings of events: clips and best views in a folder of limited size, with an index."""
