"""Reports about the records of devices in the field. Runs on a host, never on the device."""
