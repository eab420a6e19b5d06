"""What it costs: latencies by stage, sensors of the host, the performance record."""
