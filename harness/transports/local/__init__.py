"""The controller itself as a device."""
