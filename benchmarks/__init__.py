"""Comparisons with what a user would pick instead, and what parts cost."""
