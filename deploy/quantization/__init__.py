"""From float to INT8: export, calibration, recipes, training for eight bits."""
