"""Reaching a device over SSH."""
