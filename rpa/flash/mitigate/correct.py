"""Weight mapping correction: conductances to program so that an array with wires computes what was meant.

The drop of a gate-driven bit line is quadratic in the inputs, I(x) = V*(x.G - sum_il r*K_il*x_i*G_i*x_l*G_l + ...), so no weights undo it for all
inputs. Form "mean" makes the current right at the mean inputs. Form "slope" makes its derivative at the mean inputs right, which is twice the
correction, and gives back the constant that this costs as an offset per bit line, for the digital side (a bias): what is left is then quadratic in
the deviation of the inputs from their mean. A drain-driven array of linear cells is a linear map: both forms are the same there, without an offset.

The relative drop comes from the own-line factor (cumulative sums), from exact currents, or, for comparison, from the mean-factor form. All of them
scale the array by one common gain, so that its largest cell stays within the device.
Source: `docs/design.md`, section 16; the form "slope" is ours. What each leaves is printed by `python -m benchmarks.ir_drop`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rpa.flash.chip import Chip
from rpa.flash.errors import FlashError
from rpa.flash.ir import factor, ladder, transfer
from rpa.flash.ir.checks import Floats, as_activity, as_conductances, number
from rpa.flash.spec import Wires

Form = Literal["mean", "slope"]
FORMS: tuple[Form, ...] = ("mean", "slope")
SWEEPS = 8
"""Sweeps of the cheap forms: the factor of one sweep's cells corrects the next; each takes one more power of the drop off the error."""
SWEEPS_LIMIT = 1000
_CONVERGED = 1e-10
"""Change of a cell in one sweep, as part of the largest, at which exact sweeps end: far below what can be programmed."""


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What to program, and what to do with the currents: ideal current ~ gain*current + read_volt*offset."""

    cells: Floats
    """(rows, cols) siemens."""
    gain: float
    """Common gain; more than 1 where the array had to be scaled down."""
    offset: Floats
    """(cols,) siemens; 0 in the form "mean"."""

    def restored(self, currents: npt.ArrayLike, read_volt: float) -> Floats:
        """Estimate of the currents without wires from measured ones: (vectors, cols) amp."""
        return self.gain * np.asarray(currents, np.float64) + read_volt * self.offset


def own_line(targets: npt.ArrayLike, wires: Wires, *, form: Form = "slope", activity: npt.ArrayLike | None = None, limit: float | None = None,
             gain: float | None = None, sweeps: int = SWEEPS) -> Correction:
    """Correction by the own-line factor: a few cumulative sums over the array in each sweep.

    targets: (rows, cols) siemens. form: "slope" or "mean". activity: mean input, 0..1, one or (rows,); None: wires.activity. limit: largest
    conductance that a cell can be given; None: that of the targets. gain: common gain, 1..100, where cells that would need more get the limit;
    None: the one that gives the largest cell the limit. sweeps: 1..1000.
    """
    return _cheap(factor.own_line, _Job.of(targets, wires, form, activity, limit, gain), wires, sweeps)


def mean_factor(targets: npt.ArrayLike, wires: Wires, *, form: Form = "mean", activity: npt.ArrayLike | None = None, limit: float | None = None,
                gain: float | None = None, sweeps: int = SWEEPS) -> Correction:
    """:func:`own_line` as if every cell had the array's mean conductance; for comparison."""
    return _cheap(factor.mean_factor, _Job.of(targets, wires, form, activity, limit, gain), wires, sweeps)


def exact(targets: npt.ArrayLike, wires: Wires, *, form: Form = "slope", activity: npt.ArrayLike | None = None,
          limit: float | None = None, gain: float | None = None, sweeps: int = SWEEPS_LIMIT) -> Correction:
    """Correction by exact currents: potentials of the ladder, or the transfer map (which each sweep then solves).

    Arguments as of :func:`own_line`, but sweeps end when nothing changes. FlashError if that is not so after `sweeps`.
    """
    job = _Job.of(targets, wires, form, activity, limit, gain)
    if wires.drive == "drain":
        return job.swept(lambda cells: _map_ratio(cells, wires), _sweeps(sweeps), settle=True)

    def raised(cells: Floats) -> Floats:
        return 1.0 / ladder.potentials(cells, job.activity, bit_line_ohm=wires.bit_line_ohm)

    return job.swept(raised, _sweeps(sweeps), settle=True)


def apply(chip: Chip, macro: int, method: Callable[..., Correction] | None = None, *, form: Form = "mean",
          activity: npt.ArrayLike | None = None) -> Floats:
    """Correct the targets that a macro's cells have, program them, and set its converters' gain.

    method: None takes what costs least, which is `exact` in a gate-driven array and `own_line` in a drain-driven one.

    The codes then are what an array without wires would give, but for the offset that is returned: (cols,), in units of digit 1 times cell code 1,
    to be added for each operation; 0 in the form "mean". A second call corrects what the first has already corrected.
    """
    spec = chip.spec
    if isinstance(spec.wires, str):
        raise FlashError('correct.apply: the macro\'s `wires` are "ideal", there is nothing to correct')
    volt = spec.wires.read_volt
    wanted = (spec.min_amp + chip.targets(macro) * spec.step_amp) / volt
    chosen = method or (exact if spec.wires.drive == "gate" else own_line)
    made = chosen(wanted, spec.wires, form=form, activity=activity, limit=spec.device.max_amp / volt)
    chip.reprogram(macro, np.clip((made.cells * volt - spec.min_amp) / spec.step_amp, 0, spec.top))
    chip.set_trim(macro, chip.trim[macro] * made.gain)
    return made.offset * volt / spec.step_amp * spec.dac.top


@dataclass(frozen=True)
class _Job:
    targets: Floats
    activity: Floats
    limit: float
    form: Form
    linear: bool
    gain: float | None

    @classmethod
    def of(cls, targets: npt.ArrayLike, wires: Wires, form: Form, activity: npt.ArrayLike | None, limit: float | None,
           gain: float | None) -> _Job:
        cells = as_conductances("targets", targets)
        if form not in FORMS:
            raise FlashError(f"form is {form!r}, must be one of {', '.join(map(repr, FORMS))}")
        linear = wires.drive == "drain"
        share = as_activity(1.0 if linear else wires.activity if activity is None else activity, len(cells))
        most = float(cells.max()) if limit is None else number("limit", limit, above=True)
        return cls(cells, share, most, "mean" if linear else form, linear, None if gain is None else number("gain", gain, low=1.0, high=100.0))

    def swept(self, raised: Callable[[Floats], Floats], sweeps: int, *, settle: bool = False) -> Correction:
        """Repeat cells = targets*raised(cells), squared in the form "slope", scaled to the limit; `settle`: until nothing changes."""
        power = 2 if self.form == "slope" else 1
        cells, scale = self.targets, 1.0
        if not cells.any():
            return Correction(cells=cells, gain=1.0 if self.gain is None else self.gain, offset=np.zeros(cells.shape[1]))
        for _ in range(sweeps):
            before, cells = cells, self.targets * raised(cells) ** power
            scale = self.limit / float(cells.max()) if self.gain is None else 1.0 / self.gain
            cells = np.minimum(cells * scale, self.limit)
            if settle and np.abs(cells - before).max() <= _CONVERGED * self.limit:
                break
        else:
            if settle:
                change = np.abs(cells - before).max() / self.limit
                raise FlashError(f"the wires take too much for a correction: cells still change by {change:.1e} of the largest after {sweeps} "
                                 "sweeps; shorten the lines or lower `limit`")
        return Correction(cells=cells, gain=1.0 / scale, offset=self._offset(cells, raised(cells), scale))

    def _offset(self, cells: Floats, raised: Floats, scale: float) -> Floats:
        """What the slope at the mean inputs leaves of the current at the mean inputs: sum a*P*u*(1 - u), u = 1/raised."""
        if self.form == "mean":
            return np.zeros(cells.shape[1])
        part = 1.0 / raised
        return -(self.activity[:, None] * cells * part * (1.0 - part)).sum(axis=0) / scale


def _cheap(relative_drop: Callable[..., Floats], job: _Job, wires: Wires, sweeps: int) -> Correction:
    word = wires.word_line_ohm if job.linear else 0.0

    def raised(cells: Floats) -> Floats:
        return 1.0 + relative_drop(cells, bit_line_ohm=wires.bit_line_ohm, word_line_ohm=word, activity=job.activity)

    return job.swept(raised, _sweeps(sweeps))


def _map_ratio(cells: Floats, wires: Wires) -> Floats:
    """What each cell of a drain-driven array is larger than what is seen of it; 1 where there is no cell."""
    seen = transfer.matrix(cells, bit_line_ohm=wires.bit_line_ohm, word_line_ohm=wires.word_line_ohm).T
    found = np.ones_like(cells)
    np.divide(cells, seen, out=found, where=(cells > 0) & (seen > 0))
    return found


def _sweeps(count: int) -> int:
    if type(count) is not int or not 1 <= count <= SWEEPS_LIMIT:
        raise FlashError(f"sweeps is {count!r}, must be an integer 1..{SWEEPS_LIMIT}")
    return count
