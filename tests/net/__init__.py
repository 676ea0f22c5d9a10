"""Tests of networks: the integer network and its reference, the float graph and its importers."""
