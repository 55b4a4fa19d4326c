"""Reaching a device over adb."""
