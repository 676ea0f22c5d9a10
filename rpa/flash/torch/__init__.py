"""Macros in torch: layers that compute as a macro does, and training that expects its errors."""

from rpa.flash.torch.calibrate import ChosenRange, calibrate
from rpa.flash.torch.convert import convert
from rpa.flash.torch.modules import FlashConv2d, FlashLayer, FlashLinear
from rpa.flash.torch.schedule import Progressive

__all__ = ["ChosenRange", "FlashConv2d", "FlashLayer", "FlashLinear", "Progressive", "calibrate", "convert"]
