"""The float network: what it is, what it learns by, where it starts."""
