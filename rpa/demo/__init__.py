"""The demo: a photograph through a bank of 3x3 filters at several bit widths, on the emulator and, one tile, in RTL."""
