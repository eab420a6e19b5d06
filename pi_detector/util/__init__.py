"""General tools, independent of detection: queues, threads, delays, addresses."""
