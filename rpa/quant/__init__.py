"""Quantization: from a network of floats and some calibration images to an integer network, with a report of what it costs."""
