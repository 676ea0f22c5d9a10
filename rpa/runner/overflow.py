"""How large an accumulator can become, before anything runs: K * max|a| * max|w|, summed over runs that keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isa.table import ACC_BANKS, ACC_INDEX_COUNT
from rpa.arch.config import ArrayConfig
from rpa.emu.fast.layout import CONTEXT, DST, OP, SRC, Registers
from rpa.emu.fast.trace import Command
from rpa.runner.stream import NO_BASES, Steps, steps_of
from rpa.runner.weights import KnownWeights


def largest_magnitude(bits: int, signed: int) -> int:
    """max|x| of an operand of this width."""
    return 1 << (bits - 1) if signed else (1 << bits) - 1


@dataclass(frozen=True)
class Growth:
    """What one step of a context can add to an accumulator."""

    each: int
    """Largest magnitude of one product, or of one lane's result."""
    per_step: int
    """How many of them a step adds."""
    lanes: int
    """Lanes that the accumulator is split into."""
    sets: bool
    """The step stores instead of adding."""
    text: str
    """The factors of ``each``, for a message."""
    of_weights: int = 0
    """For a MAC whose second operand is the W bus: max|a|, so that known weights can be counted as they are."""


def _operand(source: int, r: Registers, signed: int) -> int:
    bits = {SRC["a"]: r.abits, SRC["w"]: r.wbits}.get(source, r.cbits)
    own_sign = {SRC["a"]: r.asigned, SRC["w"]: r.wsigned}.get(source, signed)
    return largest_magnitude(bits if own_sign == signed else r.cbits, signed)


def growth(word: int, r: Registers) -> Growth | None:
    """What a step with this context adds; None if it does not write an accumulator."""
    op, x, y, dst = (CONTEXT[name].extract(word) for name in ("op", "x", "y", "dst"))
    lanes = 16 // r.cbits
    if op in (OP["mac"], OP["macl"]):
        ax, wy = _operand(x, r, r.asigned), _operand(y, r, r.wsigned)
        summed = op == OP["mac"]
        return Growth(ax * wy, lanes if summed else 1, 1 if summed else lanes, False, f"{ax} * {wy}", ax if y == SRC["w"] else 0)
    if dst in (DST["acc"], DST["acca"]):
        each = _operand(x, r, r.asigned) if op == OP["mov"] else largest_magnitude(r.cbits, r.asigned)
        return Growth(each, 1, lanes, dst == DST["acc"], str(each))
    return None


@dataclass(frozen=True)
class Overflow:
    """An accumulator that could pass its limit."""

    bound: int
    limit: int
    bits: int
    text: str


@dataclass(frozen=True)
class Added:
    """What a run does to one accumulator."""

    relative: int
    """Its index relative to ex.cbase."""
    overwritten: bool
    """Some step starts it from 0."""
    parts: tuple[tuple[int, Growth], ...]
    """(steps whose result stays, growth) per context slot."""

    @property
    def lanes(self) -> int:
        """Lanes that the accumulator is split into."""
        return max(part.lanes for _, part in self.parts)

    def bound(self, before: int) -> int:
        """The largest magnitude afterwards."""
        largest = max([before, *(part.each for _, part in self.parts if part.sets)])
        return largest + sum(count * part.per_step * part.each for count, part in self.parts if not part.sets)


@dataclass(frozen=True, eq=False)
class Effect:
    """What a run with given registers and contexts does to accumulators."""

    steps: Steps
    grown: tuple[Growth | None, ...]
    """Per relative context slot."""
    added: tuple[Added, ...]


class Bounds:
    """Follows contexts and runs of a program in order."""

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        self.contexts = np.zeros((config.ctx_slots, config.rows, config.cols), dtype=np.uint32)
        self.bounds = [[0] * ACC_INDEX_COUNT for _ in range(ACC_BANKS)]
        self.weights = KnownWeights(config)
        self._effects: dict[Registers, Effect | None] = {}
        """Of the runs so far with the present contexts, by registers but for those that change nothing here."""

    def load_context(self, command: Command) -> None:
        r, config = command.registers, self.config
        rows, cols = r.rmask >> np.arange(config.rows) & 1 != 0, r.cmask >> np.arange(config.cols) & 1 != 0
        self.contexts[command.operand][np.ix_(rows, cols)] = command.value
        self._effects.clear()

    def run(self, command: Command) -> Overflow | None:
        """Add a `run`; the worst accumulator if one could pass its limit."""
        r = command.registers
        key = r._replace(**NO_BASES | {"sbase": r.sbase})
        if key not in self._effects:
            self._effects[key] = self._effect(key)
        effect, bounds = self._effects[key], self.bounds[command.operand]
        worst: Overflow | None = None
        known: np.ndarray | None = None
        for added in effect.added if effect is not None else ():
            index = (added.relative + r.cbase) % ACC_INDEX_COUNT
            before = 0 if added.overwritten else bounds[index]
            bound, bits = added.bound(before), self.config.acc_bits // added.lanes
            limit = (1 << (bits - 1)) - 1
            text = ""
            if bound > limit and effect is not None and all(part.of_weights for _, part in added.parts):
                known = known if known is not None else self._known(effect, r)
                if before + int(known[added.relative]) < bound:
                    bound, text = before + int(known[added.relative]), _known_formula(before, int(known[added.relative]), added.parts)
            bounds[index] = bound
            if bound > limit and (worst is None or bound > worst.bound):
                worst = Overflow(bound, limit, bits, text or _formula(before, added.parts))
        return worst

    def _effect(self, r: Registers) -> Effect | None:
        steps = steps_of(r._replace(sbase=0), self.config.ctx_slots)
        if steps is None:
            return None
        overwritten, counts = steps.staying
        grown = tuple(self._slot_growth((slot + r.sbase) % self.config.ctx_slots, r) for slot, _ in steps.slots)
        added = []
        for relative in np.flatnonzero(counts.sum(axis=0)).tolist():
            parts = tuple((int(counts[row, relative]), growth) for row, growth in enumerate(grown)
                          if growth is not None and counts[row, relative])
            if parts:
                added.append(Added(relative, bool(overwritten[relative]), parts))
        return Effect(steps, grown, tuple(added))

    def _known(self, effect: Effect, r: Registers) -> np.ndarray:
        """(16,) the same bound per relative accumulator, with known weights at their own values."""
        counted = effect.steps.stays.copy()
        factor = max((part.of_weights for part in effect.grown if part is not None), default=0)
        for (slot, _), part in zip(effect.steps.slots, effect.grown, strict=True):
            if part is None:
                counted &= effect.steps.slot != slot
        by_lane = any(part is not None and part.lanes > 1 for part in effect.grown)
        return factor * self.weights.sums(effect.steps, r, counted, by_lane, largest_magnitude(r.wbits, r.wsigned))

    def _slot_growth(self, slot: int, r: Registers) -> Growth | None:
        """The largest growth among the PEs that work."""
        words = np.unique(self.contexts[slot, :r.rows, :r.cols])
        found = [part for part in (growth(int(word), r) for word in words) if part is not None]
        return max(found, key=lambda part: (part.lanes, part.per_step * part.each), default=None)


def _formula(before: int, parts: Sequence[tuple[int, Growth]]) -> str:
    terms = [f"{count * part.per_step} * {part.text}" for count, part in parts if not part.sets]
    return "K * max|a| * max|w| = " + " + ".join(([str(before)] if before else []) + terms)


def _known_formula(before: int, known: int, parts: Sequence[tuple[int, Growth]]) -> str:
    factor = max(part.of_weights for _, part in parts)
    return "max|a| * sum|w| = " + (f"{before} + " if before else "") + f"{factor} * {known // factor}"
