"""RTL of RPA in Amaranth; :func:`to_verilog` is the door for everyone who wants the Verilog."""

from hdl.verilog import instantiation_template, to_verilog

__all__ = ["instantiation_template", "to_verilog"]
