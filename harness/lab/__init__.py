"""Devices: the inventory, what probing tells of them, and the emulated boards."""
