"""Wire resistance: exact currents, the cheap factor, and circuits for a circuit simulator."""
