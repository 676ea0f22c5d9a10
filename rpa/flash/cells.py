"""The cells of one macro: what they were told, and what currents they carry.

Errors of cells apply in this order: programming, drift, defects, temperature, traps; wires come after (:mod:`rpa.flash.chip`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rpa.flash import noise
from rpa.flash.curve import ROOM_KELVIN
from rpa.flash.spec import MacroSpec

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
MOST = 2.0
"""Currents end at this multiple of the device's largest."""
_ROWS = 1 << 10
ELEMENTARY_CHARGE = 1.602176634e-19
"""Coulomb (exact)."""


@dataclass
class Cells:
    """State of one macro's cells, all arrays (rows, cols). A cell that was never programmed carries the smallest current, without error."""

    spec: MacroSpec
    seed: int
    macro: int
    targets: Floats
    """Codes asked for, 0..top; between codes where targets were corrected before programming."""
    times: npt.NDArray[np.int64]
    """How often a cell was programmed."""
    born: Floats
    """The chip's clock in days when it was."""
    stuck_off: Mask
    stuck_on: Mask
    _traps: tuple[Mask, Floats] | None = None

    @classmethod
    def erased(cls, spec: MacroSpec, seed: int, macro: int, masks: tuple[Mask | None, Mask | None] = (None, None)) -> Cells:
        """Cells before any programming; masks: of cells stuck off and on, or None to draw them."""
        shape = (spec.rows, spec.cols)
        cells = cls(spec, seed, macro, np.zeros(shape), np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape, bool), np.zeros(shape, bool))
        cells.stuck_off, cells.stuck_on = cells._defects(masks)
        return cells

    def program(self, row: int, column: int, targets: npt.NDArray, clock: float) -> None:
        """Program neighbouring cells of one row."""
        here = row, slice(column, column + len(targets))
        self.targets[here] = targets
        self.times[here] += 1
        self.born[here] = clock

    def _counters(self) -> npt.NDArray[np.int64]:
        """A number of its own for each programming of each row; (rows, cols), as neighbours may differ in how often they were programmed."""
        return self.times * _ROWS + np.arange(self.spec.rows)[:, None]

    def _draw(self, stream: str, counters: npt.NDArray[np.int64]) -> Floats:
        key = noise.key(self.seed, stream, self.macro)
        return noise.normals(key, counters, np.arange(self.spec.cols)).astype(np.float64)

    def _draw_uniform(self, stream: str, block: int = 0) -> Floats:
        key = noise.key(self.seed, stream, self.macro)
        return noise.uniforms(key, block * _ROWS + np.arange(self.spec.rows)[:, None], np.arange(self.spec.cols))

    def _defects(self, masks: tuple[Mask | None, Mask | None]) -> tuple[Mask, Mask]:
        """One uniform number per cell: its low end is stuck off, its high end stuck on, so that none is both."""
        drawn = self._draw_uniform("defects")
        errors = self.spec.errors
        off = drawn < (0.0 if isinstance(errors.stuck_off, str) else errors.stuck_off)
        on = drawn > 1 - (0.0 if isinstance(errors.stuck_on, str) else errors.stuck_on)
        given_off, given_on = masks
        if given_off is not None:
            return given_off, on & ~given_off if given_on is None else given_on
        return (off, on) if given_on is None else (off & ~given_on, given_on)

    def currents(self, clock: float) -> Floats:
        """Ampere of each cell at full drive and `clock` days, without traps and wires."""
        spec, errors, device = self.spec, self.spec.errors, self.spec.device
        asked = spec.min_amp + self.targets * spec.step_amp
        amp = asked
        done = self.times > 0
        if not isinstance(errors.programming, str):
            spread = errors.programming.scale * device.programming_sigma(asked)
            amp = np.where(done, amp + spread * self._draw("programming", self._counters()), amp)
        if not isinstance(errors.drift_days, str):
            amp = np.where(done, self._aged(np.maximum(amp, 0), asked, np.maximum(errors.drift_days + clock - self.born, 0)), amp)
        amp = np.where(self.stuck_off, spec.min_amp, np.where(self.stuck_on, device.max_amp, amp))
        amp = np.clip(amp, 0, MOST * device.max_amp)
        if not isinstance(errors.temperature_kelvin, str):
            amp = device.at_temperature(amp, errors.temperature_kelvin)
        return np.clip(amp, 0, MOST * device.max_amp)

    def _aged(self, amp: Floats, asked: Floats, days: Floats) -> Floats:
        """Mean drift, and the spread that drift adds to that of programming; each cell keeps its own direction as it ages."""
        errors, device = self.spec.errors, self.spec.device
        kelvin = ROOM_KELVIN if isinstance(errors.temperature_kelvin, str) else errors.temperature_kelvin
        wider = np.square(device.programming_sigma(asked, days)) - np.square(device.programming_sigma(asked))
        return device.drifted(amp, days, kelvin) + np.sqrt(np.maximum(wider, 0)) * self._draw("drift", self._counters())

    def trapped(self, currents: Floats, block: int) -> Floats:
        """`currents` while the traps are in the states of one block of operations."""
        telegraph = self.spec.errors.telegraph
        if isinstance(telegraph, str):
            return currents
        if self._traps is None:
            self._traps = self._draw_uniform("traps") < telegraph.fraction, -telegraph.mean_volt * np.log(self._draw_uniform("trap amplitudes"))
        traps, rises = self._traps
        occupied = traps & (self._draw_uniform("telegraph", block) < telegraph.occupancy)
        shifted = currents.copy()
        # A cell that carries nothing has nothing to lose; the curve would lift it to its least current.
        shifted[occupied] = np.minimum(self.spec.device.curve.shifted(currents[occupied], rises[occupied]), currents[occupied])
        return shifted


def drive_currents(spec: MacroSpec, currents: Floats) -> Floats:
    """(digits 1..top, rows, cols) ampere of cells that carry `currents` at full drive, when a word line drives each digit."""
    parts = np.arange(1, spec.dac.top + 1)[:, None, None] / spec.dac.top
    if isinstance(spec.errors.nonlinearity, str) or spec.dac.bits == 1:
        return parts * currents
    curve, full = spec.device.curve, spec.device.max_amp
    return np.minimum(curve.shifted(currents, curve.overdrive(full) - curve.overdrive(parts * full)), currents)


def noise_variance(spec: MacroSpec, currents: Floats) -> Floats:
    """Square ampere of one read of cells that carry `currents`: read noise, and shot noise 2 q I B with B = 1/(2 t)."""
    errors = spec.errors
    variance = np.zeros_like(currents)
    if not isinstance(errors.read_noise, str):
        variance += np.square(errors.read_noise.scale * spec.device.read_sigma(currents))
    if not isinstance(errors.shot, str):
        variance += ELEMENTARY_CHARGE * currents / errors.shot.integration_sec
    return variance
