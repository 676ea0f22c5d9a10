"""What a cell is likely to hold, by the code that it was asked for: the laws of a device as tables for training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rpa.flash.cells import noise_variance
from rpa.flash.curve import ROOM_KELVIN
from rpa.flash.spec import MacroSpec

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CellStatistics:
    """Tables over the codes 0..2^cell_bits - 1, in units of a cell code; what every cell carries at code 0 is taken away."""

    mean: Floats
    """What cells hold on average, after drift and at temperature."""
    sigma: Floats
    """Spread over cells: of programming, and of drift."""
    read_variance: Floats
    """Of one operation, at full drive."""
    stuck_off: float
    stuck_on: float


def cell_statistics(spec: MacroSpec) -> CellStatistics:
    """The error classes of cells that are on in `spec`, but traps, wires and curves: a `Chip` has those too."""
    errors, device = spec.errors, spec.device
    asked = spec.min_amp + np.arange(spec.top + 1) * spec.step_amp
    days = 0.0 if isinstance(errors.drift_days, str) else errors.drift_days
    kelvin = ROOM_KELVIN if isinstance(errors.temperature_kelvin, str) else errors.temperature_kelvin
    aged = asked if not days else np.asarray(device.drifted(asked, np.full_like(asked, days), kelvin), np.float64)
    held = np.asarray(aged if isinstance(errors.temperature_kelvin, str) else device.at_temperature(aged, kelvin), np.float64)
    spread = np.zeros_like(asked)
    if not isinstance(errors.programming, str):
        spread += np.square(errors.programming.scale * device.programming_sigma(asked))
    if days:
        spread += np.maximum(np.square(device.programming_sigma(asked, days)) - np.square(device.programming_sigma(asked)), 0)
    off, on = (0.0 if isinstance(each, str) else float(each) for each in (errors.stuck_off, errors.stuck_on))
    return CellStatistics((held - spec.min_amp) / spec.step_amp, np.sqrt(spread) / spec.step_amp, noise_variance(spec, held) / spec.step_amp**2,
                          off, on)
