"""The fault drill: campaigns on devices to which things happen, judged by the devices' journals."""
