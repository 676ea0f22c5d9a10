"""The measured targets; `make bench` runs them all."""
