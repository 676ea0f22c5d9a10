"""Write-verify: pulses that shift a cell's threshold, each followed by a noisy read, until the read is within a tolerance.

:func:`write` is the model of the writing itself: what is left of the error, and how many pulses it takes. :func:`rewrite` does the same on a `Chip`
whose device's law already says how far one programming misses: cells that read outside the tolerance are programmed again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rpa.flash import check, noise
from rpa.flash.chip import Chip
from rpa.flash.device import Device
from rpa.flash.errors import FlashError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Pulses:
    """How cells are written. What no source is named for has none."""

    tolerance_amp: float = 10e-9
    """A read is accepted within this much of its target, 0..1 A ..."""
    tolerance_part: float = 0.01
    """... plus this part of the target, 0..1. Tuning within 1 %: Guo et al., arXiv 1611.03379 (abstract)."""
    limit: int = 32
    """Most pulses for one cell, 1..1000; a cell that needs more is given up as it is."""
    reads: int = 1
    """Reads that are averaged for one verification, 1..1000."""
    approach: float = 0.7
    """Part of the distance in threshold voltage that a pulse aims at, 0..1, above 0."""
    spread: float = 0.2
    """Standard deviation of a pulse's effect as a part of it, 0..1."""
    floor_volt: float = 0.0005
    """Standard deviation of a pulse's effect that does not shrink with it, 0..1 V."""
    step_volt: float = 0.5
    """Largest shift of one pulse, 0..10 V, above 0."""
    both_ways: bool = True
    """Whether single cells can also be erased a little; else what has gone too far stays."""

    def __post_init__(self) -> None:
        check.number("Pulses", "tolerance_amp", self.tolerance_amp, 0, 1, "A")
        check.number("Pulses", "tolerance_part", self.tolerance_part, 0, 1)
        check.integer("Pulses", "limit", self.limit, 1, 1000)
        check.integer("Pulses", "reads", self.reads, 1, 1000)
        check.number("Pulses", "approach", self.approach, 0, 1, above=True)
        check.number("Pulses", "spread", self.spread, 0, 1)
        check.number("Pulses", "floor_volt", self.floor_volt, 0, 1, "V")
        check.number("Pulses", "step_volt", self.step_volt, 0, 10, "V", above=True)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What writing left."""

    targets: Floats
    """(rows, cols) ampere asked for."""
    currents: Floats
    """(rows, cols) ampere of the cells after the last pulse, without read noise."""
    pulses: Ints
    """(rows, cols) pulses that each cell got."""
    accepted: Mask
    """(rows, cols) False for cells that were given up."""

    @property
    def errors(self) -> Floats:
        """(rows, cols) ampere that cells miss their targets by."""
        return self.currents - self.targets

    def scale(self, device: Device) -> float:
        """Residual error as a multiple of the device's own programming error, root mean squares: `Programming(scale=...)` of a chip written so."""
        usual = np.sqrt(np.mean(np.square(device.programming_sigma(self.targets))))
        return float(np.sqrt(np.mean(np.square(self.errors))) / usual)


def write(targets: npt.ArrayLike, device: Device, pulses: Pulses | None = None, *, seed: int = 0) -> Written:
    """Write erased cells, which carry the device's largest current.

    targets: (rows, cols) ampere, 0..the device's largest. A verification reads with the device's read noise over the root of `reads`. What is
    random is a function of (seed, row, column, pulse). FlashError for targets out of range.
    """
    wanted, how = _targets(targets, device), Pulses() if pulses is None else pulses
    strength, reading = noise.key(seed, "pulses"), noise.key(seed, "verify")
    goal = device.curve.overdrive(wanted)
    currents = np.full(wanted.shape, device.max_amp)
    counts, accepted = np.zeros(wanted.shape, np.int64), np.zeros(wanted.shape, bool)
    for pulse in range(how.limit + 1):
        read = currents + device.read_sigma(currents) / np.sqrt(how.reads) * _draw(reading, pulse, wanted.shape)
        accepted |= np.abs(read - wanted) <= how.tolerance_amp + how.tolerance_part * wanted
        waiting = ~accepted
        if pulse == how.limit or not waiting.any():
            break
        aim = np.clip(how.approach * (device.curve.overdrive(read) - goal), -how.step_volt if how.both_ways else 0.0, how.step_volt)
        given = waiting if how.both_ways else waiting & (aim > 0)
        drawn = _draw(strength, pulse, wanted.shape)
        shift = aim + np.hypot(how.spread * aim, how.floor_volt) * drawn
        currents[given] = device.curve.shifted(currents, shift if how.both_ways else np.maximum(shift, 0.0))[given]
        counts += given
    return Written(targets=wanted, currents=currents, pulses=counts, accepted=accepted)


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """What programming cells of a chip again left; arrays (rows, cols)."""

    attempts: Ints
    """How often each cell was programmed by this call."""
    accepted: Mask
    """False for cells that still read outside the tolerance, stuck ones among them."""
    errors: Floats
    """Cell codes that cells miss their targets by, read noise left out."""


def rewrite(chip: Chip, macro: int, *, tolerance: float, attempts: int = 10, reads: int = 1, where: npt.ArrayLike | None = None) -> Rewritten:
    """Program those cells of a macro again, until they read within `tolerance` cell codes of their targets or `attempts` are used up.

    reads: how many are averaged, 1..1000; each has the chip's read noise. where: (rows, cols) mask of cells that hold weights, None for all: others
    are left alone and count as accepted. Temperature is the chip's; cells that are programmed again start to age now (`Chip.age`).
    """
    check.number("rewrite", "tolerance", tolerance, 0, 15, "cell codes", above=True)
    check.integer("rewrite", "attempts", attempts, 1, 1000)
    check.integer("rewrite", "reads", reads, 1, 1000)
    spec, targets = chip.spec, chip.targets(macro)
    used = np.ones(targets.shape, bool) if where is None else np.asarray(where, bool)
    if used.shape != targets.shape:
        raise FlashError(f"rewrite: `where` has shape {used.shape}, must be {targets.shape}")
    sigma = 0.0 if isinstance(spec.errors.read_noise, str) else spec.errors.read_noise.scale / np.sqrt(reads)
    key, counts, accepted = noise.key(chip.seed, "rewrite", macro), np.zeros(targets.shape, np.int64), ~used
    for attempt in range(attempts + 1):
        currents = chip.currents(macro)
        read = currents + sigma * spec.device.read_sigma(currents) * _draw(key, int(chip.verified[macro]), targets.shape)
        chip.verified[macro] += 1
        accepted |= np.abs((read - spec.min_amp) / spec.step_amp - targets) <= tolerance
        if attempt == attempts or accepted.all():
            break
        chip.reprogram(macro, targets, ~accepted)
        counts += ~accepted
    return Rewritten(attempts=counts, accepted=accepted, errors=(chip.currents(macro) - spec.min_amp) / spec.step_amp - targets)


def _targets(targets: npt.ArrayLike, device: Device) -> Floats:
    wanted = np.asarray(targets, np.float64)
    if wanted.ndim != 2:
        raise FlashError(f"write: targets have shape {wanted.shape}, must be (rows, cols)")
    wrong = ~((wanted >= 0) & (wanted <= device.max_amp))
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise FlashError(f"write: targets[{row}, {column}] is {float(wanted[row, column])!r} A, must be 0..{device.max_amp:g} A, "
                         f"what a cell of `{device.name}` carries")
    return wanted


def _draw(key: np.uint64, number: int, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """One standard normal number per cell for the pulse or state of this number."""
    return noise.normals(key, number * (1 << 10) + np.arange(shape[0])[:, None], np.arange(shape[1]))
