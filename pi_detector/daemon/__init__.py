"""The service: settings over its life, health, the service manager."""
