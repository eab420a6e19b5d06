"""The governor: keeps a hot or weak board within its limits."""
