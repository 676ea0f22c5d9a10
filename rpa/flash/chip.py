"""`Chip`: macros with errors behind the interface that the machine asks, `rpa.arch.macro.Macro`.

An operation is, in this order: exact integer sums of what the driven cells add (:mod:`rpa.flash.static`), noise, compression, conversion. What is
random in it is drawn by the macro's number of the operation and the bit line, so results do not depend on batches, backends or threads. Compiled
tables (:mod:`rpa.flash.kernels`) do this where they can; what is here in NumPy is what they must equal.
"""

from __future__ import annotations

import math
from itertools import count

import numpy as np
import numpy.typing as npt

from rpa.arch.macro import bit_lengths
from rpa.flash import check, kernels, noise, operands
from rpa.flash.cells import Cells
from rpa.flash.converters import Converters, driver_levels, search
from rpa.flash.errors import FlashError
from rpa.flash.ir import ladder
from rpa.flash.spec import MacroSpec
from rpa.flash.static import FRACTION_BITS, Static, columns_product, fold, variance_bits

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_VERSIONS = count(1)


class _Kept(dict):
    """What follows from the rest, and is kept because it takes time: a deep copy shares the values, which nobody changes."""

    def __deepcopy__(self, memo: object) -> _Kept:
        return _Kept(self)


class Chip:
    """One instance: the same spec and seed give the same chip, another seed another one.

    macros: how many. seed: 0..2^64 - 1. stuck_off, stuck_on: (macros, rows, cols) masks of defects, measured ones say; None: drawn with the
    probabilities of `spec.errors`. trim: (macros, cols), gain of each bit line's converter, 1 at first, set by :meth:`set_trim`.
    """

    fraction_bits = FRACTION_BITS
    """Fraction bits of effective cells."""

    def __init__(self, spec: MacroSpec, *, macros: int = 1, seed: int = 0, stuck_off: npt.ArrayLike | None = None,
                 stuck_on: npt.ArrayLike | None = None) -> None:
        check.instance("Chip", "spec", spec, MacroSpec, or_ideal=False)
        check.integer("Chip", "macros", macros, 1, 4096)
        self.spec, self.macros, self.seed = spec, macros, seed
        noise.key(seed)
        shape = (macros, spec.rows, spec.cols)
        off, on = operands.mask("stuck_off", stuck_off, shape), operands.mask("stuck_on", stuck_on, shape)
        if off is not None and on is not None and (off & on).any():
            raise FlashError(f"Chip: `stuck_off` and `stuck_on` name the same {int((off & on).sum())} cells, a cell can be only one of them")
        self._masks = off, on
        self._cells: dict[int, Cells] = {}
        self._static: dict[int, tuple[tuple[int, int], Static]] = _Kept()
        self._untrapped: dict[int, tuple[int, Floats]] = _Kept()
        self._thresholds: dict[tuple[int, float], Ints] = _Kept()
        self._flat_thresholds: dict[tuple[int, float], npt.NDArray[np.int32]] = _Kept()
        self.versions = [0] * macros
        """Changes with what is static in a macro; no number is ever used twice, so that a chip may be put back to an earlier state."""
        self.operations = np.zeros(macros, np.int64)
        """Operations that each macro has done: the number of the next one."""
        self.verified = np.zeros(macros, np.int64)
        """How often all cells of each macro were read to verify what was written."""
        self.clock = 0.0
        """Days since the chip was made, as :meth:`age` counts them."""
        self.trim = np.ones((macros, spec.cols))

    def program(self, macro: int, row: int, column: int, cells: npt.NDArray[np.uint8]) -> None:
        """Program neighbouring cells of one row, as `Macro` says; each call draws programming errors anew."""
        codes = operands.cells(cells, self.spec)
        self._in_reach(macro, row, column, len(codes))
        self._state(macro).program(row, column, codes, self.clock)
        self.versions[macro] = next(_VERSIONS)

    def reprogram(self, macro: int, targets: npt.ArrayLike, where: npt.ArrayLike | None = None) -> None:
        """Program cells to targets between codes, as a correction asks for; their age begins now, also what `drift_days` says.

        targets: (rows, cols), 0..2^cell_bits - 1. where: (rows, cols) mask of the cells to program, None for all.
        """
        self._in_reach(macro, 0, 0, 0)
        wanted, shape = np.asarray(targets, np.float64), (self.spec.rows, self.spec.cols)
        if wanted.shape != shape or not ((wanted >= 0) & (wanted <= self.spec.top)).all():
            raise FlashError(f"Chip.reprogram: `targets` have shape {wanted.shape} and values {wanted.min(initial=0):g}..{wanted.max(initial=0):g}, "
                             f"must have {shape} and 0..{self.spec.top}")
        chosen = np.ones(shape, bool) if where is None else np.asarray(where)
        if chosen.shape != shape or chosen.dtype != bool:
            raise FlashError(f"Chip.reprogram: `where` is {chosen.dtype} {chosen.shape}, must be bool {shape}")
        state, days = self._state(macro), self.spec.errors.drift_days
        state.targets[chosen] = wanted[chosen]
        state.times[chosen] += 1
        state.born[chosen] = self.clock + (0.0 if isinstance(days, str) else days)
        self.versions[macro] = next(_VERSIONS)

    def age(self, days: float) -> None:
        """Let time pass; it shows where `errors.drift_days` is not "ideal", and then no longer than the device's laws are known."""
        check.number("Chip.age", "days", days, 0, math.inf, "days")
        if not isinstance(self.spec.errors.drift_days, str):
            self.spec.device.check_age("Chip.age", self.clock + days + self.spec.errors.drift_days)
        self.clock += float(days)
        self.versions = [next(_VERSIONS) for _ in self.versions]

    def set_trim(self, macro: int, gains: npt.ArrayLike) -> None:
        """Set the gain of each bit line's converter: (cols,), 0.1..10."""
        self._in_reach(macro, 0, 0, 0)
        gains = np.asarray(gains, np.float64)
        if gains.shape != (self.spec.cols,) or not ((gains >= 0.1) & (gains <= 10)).all():
            raise FlashError(f"Chip.set_trim: gains have shape {gains.shape} and values {gains.min(initial=1):g}..{gains.max(initial=1):g}, "
                             f"must have ({self.spec.cols},) and 0.1..10")
        self.trim[macro] = gains
        self.versions[macro] = next(_VERSIONS)

    def targets(self, macro: int) -> Floats:
        """(rows, cols) codes that cells were asked for."""
        return self._state(macro).targets.copy()

    def defects(self, macro: int) -> tuple[Mask, Mask]:
        """(rows, cols) masks of cells that are stuck off, and stuck on."""
        state = self._state(macro)
        return state.stuck_off.copy(), state.stuck_on.copy()

    def currents(self, macro: int) -> Floats:
        """(rows, cols) ampere of each cell itself at full drive, without wires; its trap, if it has one, as the next operation finds it."""
        return self._trapped(macro, int(self.block_of(self.operations[macro])))

    def effective_cells(self, macro: int, digit: int = 1) -> npt.NDArray[np.int32]:
        """(rows, cols) integers: what each cell adds to a sum for a digit, in 2^-fraction_bits of (digit 1 times cell code 1)."""
        return self.static(macro).levels[digit - 1].copy()

    def variance_cells(self, macro: int, digit: int = 1) -> Floats:
        """(rows, cols) variance of each cell's noise in one operation, in square cell codes at digit 1."""
        variance = self.static(macro).variance
        if variance is None:
            return np.zeros((self.spec.rows, self.spec.cols))
        return variance[digit - 1] / float(1 << variance_bits(self.spec))

    def limits(self, active: npt.ArrayLike, log2_lsb: float) -> Ints:
        """Largest code of operations with `active` driven word lines, as `rpa.arch.macro.limits`, for this converter's resolution.

        Where conversion is not aware of sparsity it is all ones, however few word lines are driven.
        """
        active = np.asarray(active, np.int64)
        bits = self.spec.adc.code_bits
        if not self.spec.adc.sparsity_aware:
            return np.full(active.shape, (1 << bits) - 1, np.int64)
        largest = np.floor(active * (self.spec.dac.top * self.spec.top) / 2.0**log2_lsb + 0.5).astype(np.int64)
        return (1 << bit_lengths(np.minimum(largest, (1 << bits) - 1))) - 1

    def convert(self, macro: int, digits: npt.NDArray[np.uint8], columns: slice, log2_lsb: float, limits: npt.ArrayLike, *,
                first: int | npt.ArrayLike | None = None) -> Ints:
        """As `Macro.convert`. log2_lsb: also between whole numbers, -8..24. first: number of the first operation, or one for each; the macro's own
        count, which then goes on, where it is None."""
        self._in_reach(macro, 0, 0, 0)
        digits = operands.digits(digits, self.spec)
        numbers = self.take_numbers(macro, len(digits), first)
        if not -8 <= log2_lsb <= 24:
            raise FlashError(f"Chip.convert: `log2_lsb` is {log2_lsb}, must be -8..24")
        limits = operands.limits(limits, len(digits), self.spec)
        lines, blocks = kernels.lines_of(self, columns), self.block_of(numbers)
        out = np.empty((len(digits), len(lines)), np.int64)
        for block in np.unique(blocks):
            which = blocks == block
            if kernels.can(self, macro, int(block), lines):
                out[which] = kernels.codes(self, macro, int(block), digits[which], columns, log2_lsb, limits[which], numbers[which])
            else:
                sums = self._sums(macro, int(block), digits[which], columns, numbers[which])
                out[which] = self._codes(macro, self.compressed(sums), columns, log2_lsb, limits[which])
        return out

    def take_numbers(self, macro: int, count: int, first: int | npt.ArrayLike | None = None) -> Ints:
        """Numbers of `count` operations: from `first` on, as given, or the macro's next ones."""
        if first is None:
            first = int(self.operations[macro])
            self.operations[macro] += count
        numbers = np.asarray(first, np.int64)
        return numbers + np.arange(count) if numbers.ndim == 0 else numbers

    def compressed(self, sums: Ints) -> Ints:
        """Sums (2^-fraction_bits) after the sense circuit's compression I / (1 + c I)."""
        per_unit = self.compression_per_unit
        return sums if per_unit == 0 else np.floor(sums / (1 + per_unit * sums) + 0.5).astype(np.int64)

    @property
    def compression_per_unit(self) -> float:
        """c in 1 / (2^-fraction_bits of a digit 1 times a cell code 1)."""
        return self.spec.compression / (1 << FRACTION_BITS)

    def thresholds(self, macro: int, log2_lsb: float) -> Ints | None:
        """(converters, codes) least sums (2^-fraction_bits) of codes, or None where converters are ideal."""
        if self.spec.adc.is_ideal:
            return None
        place = macro, float(log2_lsb)
        if place not in self._thresholds:
            self._thresholds[place] = Converters(self.spec, self.seed, macro).thresholds(2.0 ** (log2_lsb + FRACTION_BITS))
        return self._thresholds[place]

    def flat_thresholds(self, macro: int, log2_lsb: float) -> npt.NDArray[np.int32]:
        """:meth:`thresholds` for sums of 32 bits, flat; of converters that are not ideal."""
        place = macro, float(log2_lsb)
        if place not in self._flat_thresholds:
            wide = self.thresholds(macro, log2_lsb)
            self._flat_thresholds[place] = np.clip(np.zeros(0) if wide is None else wide, -(1 << 31), (1 << 31) - 1).astype(np.int32).reshape(-1)
        return self._flat_thresholds[place]

    def static(self, macro: int, block: int | None = None) -> Static:
        """What does not change within a block of operations (None: that of the next operation)."""
        self._in_reach(macro, 0, 0, 0)
        state = self.versions[macro], int(self.block_of(self.operations[macro])) if block is None else block
        if macro not in self._static or self._static[macro][0] != state:
            made = fold(self.spec, self._trapped(macro, state[1]), driver_levels(self.spec, self.seed, macro), self.trim[macro])
            self._static[macro] = state, made
        return self._static[macro][1]

    def noise_key(self, macro: int) -> np.uint64:
        """Key of the noise of operations."""
        return noise.key(self.seed, "read", macro)

    def block_of(self, numbers: npt.ArrayLike) -> Ints:
        """The block that an operation is in: traps keep their states within one."""
        numbers, telegraph = np.asarray(numbers, np.int64), self.spec.errors.telegraph
        return np.zeros_like(numbers) if isinstance(telegraph, str) else numbers // telegraph.dwell_operations

    def _sums(self, macro: int, block: int, digits: npt.NDArray[np.uint8], columns: slice, numbers: Ints) -> Ints:
        """Sums with noise, (operations, lines), in 2^-fraction_bits, of operations of one block."""
        static = self.static(macro, block)
        if self.spec.ladder:
            sums = self._ladder_sums(macro, static, digits)[:, columns]
        else:
            sums = columns_product(static.levels, static.linear, digits, columns)
        if static.variance is not None:
            variance = columns_product(static.variance, False, digits, columns)
            sums += self._noise(macro, variance, numbers, np.arange(self.spec.cols)[columns])
        return sums

    def _noise(self, macro: int, variance: Ints, numbers: Ints, lines: Ints) -> Ints:
        """float32 operations that round, one by one: compiled code does the same."""
        sigma = np.sqrt(variance.astype(np.float32)) * np.float32(self.sigma_unit)
        return np.floor(sigma * noise.normals(self.noise_key(macro), numbers[:, None], lines) + np.float32(0.5)).astype(np.int64)

    @property
    def sigma_unit(self) -> float:
        """Root of one unit of variance in units of sums, a power of two."""
        return 2.0 ** (FRACTION_BITS - variance_bits(self.spec) // 2)

    def _ladder_sums(self, macro: int, static: Static, digits: npt.NDArray[np.uint8]) -> Ints:
        """Exact currents of a gate-driven array with wires, rounded to units of sums; drivers' gains scale the cells of their rows."""
        spec = self.spec
        assert not isinstance(spec.wires, str)
        levels = driver_levels(spec, self.seed, macro) * np.arange(1, spec.dac.top + 1)[:, None] / spec.dac.top
        most = levels.max(axis=0)
        inputs = np.vstack([np.zeros(spec.rows), levels / most])[digits, np.arange(spec.rows)]
        amp = ladder.currents(static.currents * most[:, None] / spec.wires.read_volt, inputs, read_volt=spec.wires.read_volt,
                              bit_line_ohm=spec.wires.bit_line_ohm)
        return np.rint(amp * self.trim[macro] * (spec.dac.top / spec.step_amp * (1 << FRACTION_BITS))).astype(np.int64)

    def _codes(self, macro: int, sums: Ints, columns: slice, log2_lsb: float, limits: Ints) -> Ints:
        thresholds = self.thresholds(macro, log2_lsb)
        if thresholds is not None:
            bits = int(bit_lengths(limits.max(initial=0)))
            return search(sums, limits, thresholds, Converters(self.spec, self.seed, macro).of_lines(columns), bits)
        step = 2.0 ** (log2_lsb + FRACTION_BITS)
        codes = np.floor((sums + step / 2) / step).astype(np.int64)
        return np.clip(codes, 0, limits[:, None])

    def _state(self, macro: int) -> Cells:
        if macro not in self._cells:
            self._in_reach(macro, 0, 0, 0)
            off, on = (None if mask is None else mask[macro] for mask in self._masks)
            self._cells[macro] = Cells.erased(self.spec, self.seed, macro, (off, on))
        return self._cells[macro]

    def _trapped(self, macro: int, block: int) -> Floats:
        state, version = self._state(macro), self.versions[macro]
        if macro not in self._untrapped or self._untrapped[macro][0] != version:
            self._untrapped[macro] = version, state.currents(self.clock)
        return state.trapped(self._untrapped[macro][1], block)

    def _in_reach(self, macro: int, row: int, column: int, count: int) -> None:
        spec = self.spec
        if not (0 <= macro < self.macros and 0 <= row < spec.rows and 0 <= column <= spec.cols - count):
            raise FlashError(f"Chip: macro {macro}, row {row}, bit lines {column}..{column + count - 1}; there are {self.macros} macros of "
                             f"{spec.rows} rows and {spec.cols} bit lines")
