"""How the controller reaches a device."""
