"""The compiler: an integer network becomes one program and one data image for an array."""
