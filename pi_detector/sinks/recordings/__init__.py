"""Recordings of events: clips and best views in a folder, with an index, that tidies itself."""
