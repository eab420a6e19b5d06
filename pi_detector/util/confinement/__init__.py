"""Confinement of a process before it reads untrusted data."""
