"""Published results rerun with our own networks and data. May use the quantizer, which the rest of `rpa.flash` leaves alone."""
