"""Messages about events: to services, webhooks and programs."""
