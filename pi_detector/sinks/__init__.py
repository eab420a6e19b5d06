"""Sinks: where results and records go."""
