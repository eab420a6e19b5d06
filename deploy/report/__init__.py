"""What each quantization recipe costs and saves, measured, as a page to decide from."""
