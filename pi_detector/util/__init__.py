"""Small tools that know nothing of detection: queues, threads, delays, addresses."""
