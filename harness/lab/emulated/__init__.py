"""Emulated boards: an image made of Debian packages and wheels, run by QEMU."""
