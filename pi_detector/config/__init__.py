"""Settings: one typed tree, read from TOML, the environment and the command line."""
