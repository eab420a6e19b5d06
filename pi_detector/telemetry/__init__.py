"""Telemetry: latencies by stage, sensors of the host, performance records, metrics."""
