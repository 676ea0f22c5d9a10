"""Random commands for the engine of the NOR-flash macros: legal together, and inside macro and X bank."""

from __future__ import annotations

from math import ceil
from random import Random

from isa.table import NV_DIMS, WIDTHS
from rpa.arch.config import ArrayConfig
from rpa.arch.macro import CELLS_IN_A_WORD
from rpa.verify.placing import Command, place

MOST_VECTORS = 6
PLAIN, DIFFERENTIAL, REFERENCE = range(3)
"""Values of `nv.encoding`."""


class NvCommands:
    """Source of random `nvprog` and `nvmac` for one machine that has macros."""

    def __init__(self, rng: Random, config: ArrayConfig) -> None:
        self.rng, self.config = rng, config
        self.lines = config.nv_cols // config.cols

    # -- nvprog ------------------------------------------------------------------------------------------------------

    def nvprog(self) -> Command:
        """Some neighbouring cells of a few rows."""
        rng, config = self.rng, self.config
        starts = [line for line in range(self.lines) if line * config.cols % CELLS_IN_A_WORD == 0]
        line0 = rng.choice(starts)
        words = rng.randint(1, (config.nv_cols - line0 * config.cols) // CELLS_IN_A_WORD)
        row0 = rng.choice((0, rng.randrange(config.nv_rows)))
        rows, step = rng.randint(1, min(3, config.nv_rows - row0)), rng.choice((0, 1, words, -words, rng.randint(-9, 9)))
        return self._prog(row0, rows, line0, words, step)

    def nvprog_all(self, macro: int, rows: int) -> Command:
        """All cells of the first rows of a macro."""
        command = self._prog(0, min(rows, self.config.nv_rows), 0, self.config.nv_cols // CELLS_IN_A_WORD, 1)
        return Command("nv", "nvprog", {}, {**command.registers, "nv.macro": macro})

    def _prog(self, row0: int, rows: int, line0: int, words: int, step: int) -> Command:
        across = (rows - 1) * step
        base = place(self.rng, min(0, across), max(0, across) + words - 1, self.config.x_depth, 1)
        if base is None:
            words, step, base = 1, 0, 0
        return Command("nv", "nvprog", {}, {"nv.macro": self.rng.randrange(self.config.nv_macros), "nv.row0": row0, "nv.rows": rows,
                                            "nv.line0": line0, "nv.k0": words, "nv.xv0": step, "nv.xbase": base})

    # -- nvmac -------------------------------------------------------------------------------------------------------

    def nvmac(self) -> Command:
        """A few vectors with any encoding, slices, activations, range and accumulators."""
        rng, config = self.rng, self.config
        row0 = rng.choice((0, 0, rng.randrange(config.nv_rows)))
        rows = rng.choice((config.nv_rows - row0, rng.randint(1, config.nv_rows - row0)))
        ebits = rng.choice(WIDTHS)
        regs = {"nv.macro": rng.randrange(config.nv_macros), "nv.row0": row0, "nv.rows": rows, "nv.ebits": ebits,
                "nv.abits": rng.choice((ebits, rng.randint(1, ebits))), "nv.asigned": rng.randint(0, 1),
                "nv.range": rng.choice((0, 0, 1, 2, 3, rng.randrange(16))), "nv.keep": int(rng.random() < 0.2),
                "nv.cbase": rng.choice((0, rng.randrange(16))), "nv.cg": rng.choice((0, 1, 1, 2, rng.randint(-16, 15)))}
        counts = self._counts(MOST_VECTORS)
        self._layer(regs)
        self._nest(regs, self._words(ceil(rows * ebits / 16)), counts)
        regs |= {f"nv.cv{d}": rng.choice((0, 1, 1, -1, rng.randint(-16, 15))) for d, count in enumerate(counts) if count > 1}
        return Command("nv", "nvmac", {"bank": rng.randint(0, 1)}, regs)

    def nvmac_all(self, bank: int) -> Command:
        """A vector of 4-bit activations into every accumulator of a bank."""
        rows = min(self.config.nv_rows, 8)
        return Command("nv", "nvmac", {"bank": bank}, {
            "nv.rows": rows, "nv.ebits": 4, "nv.abits": 4, "nv.asigned": self.rng.randint(0, 1), "nv.k0": rows // 4, "nv.xk0": 1, "nv.n0": 16,
            "nv.xv0": 1, "nv.cv0": 1, "nv.outs": self.config.cols})

    def _layer(self, regs: dict[str, int]) -> None:
        """Choose encoding, slices and outputs that fit between line0 and the last bit line."""
        rng, config = self.rng, self.config
        while True:
            encoding, slices = rng.randrange(3), rng.choice((1, 1, 2, 2, 3, rng.randint(1, 16)))
            per_group = slices * (2 if encoding == DIFFERENTIAL else 1)
            room = self.lines - (encoding == REFERENCE)
            fits = per_group <= room and slices * config.nv_cell_bits <= 16
            if fits and (encoding != REFERENCE or slices <= config.cols):
                break
        groups = rng.randint(1, room // per_group)
        outs = rng.randint((groups - 1) * config.cols + 1, groups * config.cols)
        line0 = rng.choice((0, rng.randint(0, room - groups * per_group)))
        regs |= {"nv.encoding": encoding, "nv.slices": slices, "nv.outs": outs, "nv.line0": line0}

    def _counts(self, most: int) -> list[int]:
        """Counts of a nest of loops whose product is at most ``most``."""
        counts = [1] * NV_DIMS
        for d in self.rng.sample(range(NV_DIMS), NV_DIMS):
            counts[d] = self.rng.choice((1, self.rng.randint(1, most)))
            most //= counts[d]
        return counts

    def _words(self, needed: int) -> list[int]:
        """Counts of a nest of loops whose product is at least ``needed``, seldom much more."""
        rng, counts = self.rng, [1] * NV_DIMS
        order = rng.sample(range(NV_DIMS), NV_DIMS)
        for d in order[:-1]:
            counts[d] = rng.choice((1, 1, rng.randint(1, needed)))
            needed = ceil(needed / counts[d])
        counts[order[-1]] = needed + int(rng.random() < 0.1)
        return counts

    def _nest(self, regs: dict[str, int], words: list[int], vectors: list[int]) -> None:
        """Choose X addresses of the words of a vector and of the vectors."""
        rng, loops = self.rng, [("k", "xk", words), ("n", "xv", vectors)]
        steps = {step: [rng.choice((0, 1, 1, 2, -1, counts[0], rng.randint(-9, 9))) if count > 1 else 0 for count in counts]
                 for _, step, counts in loops}
        spans = [(count - 1) * step for _, name, counts in loops for count, step in zip(counts, steps[name], strict=True)]
        base = place(rng, sum(min(0, s) for s in spans), sum(max(0, s) for s in spans), self.config.x_depth, 1)
        if base is None:
            steps, base = {"xk": [0] * NV_DIMS, "xv": [0] * NV_DIMS}, rng.randrange(self.config.x_depth)
        regs["nv.xbase"] = base
        for name, step, counts in loops:
            regs |= {f"nv.{name}{d}": count for d, count in enumerate(counts)}
            regs |= {f"nv.{step}{d}": value for d, value in enumerate(steps[step])}
