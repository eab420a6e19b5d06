"""The daemon: reload of settings, health, service manager."""
