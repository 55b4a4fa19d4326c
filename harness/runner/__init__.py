"""What runs on the device. Nothing here imports the controller."""
