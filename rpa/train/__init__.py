"""Training of the networks that come with this package; torch is imported here alone."""
