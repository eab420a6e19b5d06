"""What detection costs on this machine, stage by stage and end to end: ``pi-detector bench``."""
