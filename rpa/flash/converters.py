"""Drivers and converters of one macro: levels of digits, and the thresholds between codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rpa.flash import noise
from rpa.flash.spec import MacroSpec

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def _bow(codes: Floats, top: float, height: float) -> Floats:
    """A parabola over 0..top, `height` in its middle and 0 at its ends."""
    part = codes / top
    return height * 4 * part * (1 - part)


def _normals(seed: int, stream: str, macro: int, counters: int, lines: int) -> Floats:
    """(counters, lines)."""
    drawn = noise.normals(noise.key(seed, stream, macro), np.arange(counters)[:, None], np.arange(lines))
    return drawn.astype(np.float64)


def driver_levels(spec: MacroSpec, seed: int, macro: int) -> Floats:
    """(digits 1..top, rows): what a driver gives for each digit over what it should give."""
    dac, top = spec.dac, spec.dac.top
    digits = np.arange(1, top + 1, dtype=np.float64)[:, None]
    levels = np.repeat(digits, spec.rows, axis=1)
    if not isinstance(dac.dnl_lsb, str) and top > 1:
        levels += _walk(dac.dnl_lsb * _normals(seed, "dac steps", macro, top, spec.rows))
    if not isinstance(dac.inl_lsb, str):
        levels += _bow(digits, top, dac.inl_lsb)
    if not isinstance(dac.gain_error, str):
        levels *= 1 + dac.gain_error * _normals(seed, "dac gain", macro, 1, spec.rows)
    return np.maximum(levels, 0) / digits


def _walk(steps: Floats) -> Floats:
    """Sums of errors of steps along axis 0, tilted so that the last is 0: the ends of a transfer curve define its gain."""
    total = np.cumsum(steps, axis=0)
    return total - total[-1] * (np.arange(1, len(steps) + 1) / len(steps))[:, None]


@dataclass(frozen=True)
class Converters:
    """The converters of one macro."""

    spec: MacroSpec
    seed: int
    macro: int

    @property
    def count(self) -> int:
        """Converters of one macro."""
        return max(1, self.spec.cols // self.spec.adc.share)

    def of_lines(self, columns: slice) -> Ints:
        """The converter of each bit line."""
        return np.arange(self.spec.cols)[columns] % self.count

    def transitions(self) -> Floats:
        """(converters, 2^bits): the input in LSB at which a converter goes from code k - 1 to k; ideally k - 1/2. Column 0 is never used.

        Of converters whose resolution is not "ideal".
        """
        adc = self.spec.adc
        codes = np.arange(1 << adc.code_bits, dtype=np.float64)
        at = np.repeat(codes[None] - 0.5, self.count, axis=0)
        if not isinstance(adc.dnl_lsb, str):
            at += self._weights(adc.dnl_lsb) if adc.kind == "sar" else self._steps(adc.dnl_lsb)
        if not isinstance(adc.inl_lsb, str):
            at += _bow(codes, max(len(codes) - 1, 1), adc.inl_lsb)
        if not isinstance(adc.offset_lsb, str):
            at -= adc.offset_lsb * _normals(self.seed, "adc offset", self.macro, 1, self.count).T
        if not isinstance(adc.gain_error, str):
            at /= np.maximum(1 + adc.gain_error * _normals(self.seed, "adc gain", self.macro, 1, self.count).T, 1e-3)
        return at

    def _weights(self, sigma: float) -> Floats:
        """Errors of a SAR converter: each bit's weight is off, sigma growing with its root; the step at mid-scale has sigma `sigma`."""
        bits = self.spec.adc.code_bits
        unit = sigma / np.sqrt(max((1 << bits) - 1, 1))
        errors = unit * np.sqrt(2.0 ** np.arange(bits)) * _normals(self.seed, "adc weights", self.macro, self.count, bits)
        codes = np.arange(1 << bits)
        total = errors @ ((codes >> np.arange(bits)[:, None]) & 1)
        return total - total[:, -1:] * codes / codes[-1]

    def _steps(self, sigma: float) -> Floats:
        """Errors of a ramp: each step is off on its own."""
        steps = sigma * _normals(self.seed, "adc steps", self.macro, (1 << self.spec.adc.code_bits) - 1, self.count)
        return np.concatenate([np.zeros((self.count, 1)), _walk(steps).T], axis=1)

    def thresholds(self, step: float) -> Ints:
        """(converters, 2^bits): least integer sum that gives at least code k, `step` units to an LSB."""
        at = self.transitions()
        if self.spec.adc.kind == "ramp":
            # A ramp only rises: a step of negative width has none.
            at = np.maximum.accumulate(at, axis=1)
        return np.ceil(at * step).astype(np.int64)


def search(sums: Ints, limits: Ints, thresholds: Ints, converters: Ints, bits: int) -> Ints:
    """Codes by successive approximation, from the highest bit that an operation's limit has.

    sums: (operations, lines). limits: (operations,). converters: (lines,), rows of `thresholds`. Where thresholds rise, as those of a ramp do,
    this counts those that are passed.
    """
    codes = np.zeros_like(sums)
    for bit in range(bits - 1, -1, -1):
        trial = codes | (1 << bit)
        passed = sums >= thresholds[converters[None, :], trial]
        codes = np.where(passed & (limits[:, None] >> bit > 0), trial, codes)
    return np.minimum(codes, limits[:, None])
