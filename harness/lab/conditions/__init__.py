"""The conditions of a measurement: what is asked of a device, and what became of it."""
