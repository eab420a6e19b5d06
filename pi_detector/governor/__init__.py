"""Keeps a hot or weak board within its limits: what to give up, and when."""
