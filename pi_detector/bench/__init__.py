"""What detection costs on this device, stage by stage and end to end: ``pi-detector bench``."""
