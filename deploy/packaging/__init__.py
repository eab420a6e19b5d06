"""The bundle that the device runs, with its card."""
