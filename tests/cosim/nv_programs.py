"""Programs around the NV engine with registers drawn at random: programming, vectors in loops, every encoding, drains while NV goes on."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

import isa
from isa.program import Program
from rpa.arch.config import ArrayConfig

X_WORDS = 40
"""Words of the X bank that a program fills, from address 0 on."""
RESULTS = 0x1000
"""Where results go in memory."""


@dataclass(frozen=True)
class NvProgram:
    """A program with its memory, uint8 (mem_bytes,)."""

    program: Program
    memory: np.ndarray


def _sets(engine: str, **values: int) -> list[str]:
    return [f"set {engine}.{name}, {value}" for name, value in values.items()]


class Draw:
    """Statements of one random program."""

    def __init__(self, seed: int, config: ArrayConfig) -> None:
        self.rng, self.config = random.Random(f"nv-{seed}"), config
        self.lines: list[str] = []

    def pick(self, low: int, high: int) -> int:
        return self.rng.randint(low, high)

    def load(self) -> None:
        """Fill the X bank, from memory or with a constant."""
        bus = self.config.bus_words
        unit = 1 << self.pick(0, bus.bit_length() - 1)
        units = X_WORDS // unit
        self.lines += _sets("ld", addr=2 * bus * self.pick(0, 60), rows=1, units=units, unit=unit, sstep=2 * unit, base=0, dstep=unit, wlen=1,
                            fill=self.rng.getrandbits(15))
        # Everything that reads the words there is in front of the `sync`.
        self.lines += ["sync nv signal(ld)", f"ld x, {self.rng.choice(('mem', 'mem', 'mem', 'fill'))} wait(nv) signal(nv)", "sync nv wait(ld)"]

    def program(self) -> None:
        """`nvprog` of some rows of a macro."""
        config, rows = self.config, self.pick(1, self.config.nv_rows)
        least = max(1, 4 // config.cols)
        line0 = least * self.pick(0, config.nv_cols // config.cols // least // 2)
        words = self.pick(1, (config.nv_cols - line0 * config.cols) // 4)
        self.lines += _sets("nv", macro=self.pick(0, config.nv_macros - 1), row0=self.pick(0, config.nv_rows - rows), rows=rows, line0=line0,
                            k0=words, xbase=self.pick(0, 3), xv0=self.pick(0, max(0, X_WORDS - 3 - words) // rows))
        self.lines.append(self.rng.choice(("nvprog", "nvprog signal(nv)\nsync nv wait(nv)")))

    def layer(self) -> dict[str, int]:
        """A layer that fits the macro."""
        config = self.config
        while True:
            slices = self.pick(1, min(4, 16 // config.nv_cell_bits))
            encoding, outs = self.pick(0, 2), self.pick(1, config.nv_cols)
            per_group = slices * (2 if encoding == 1 else 1)
            lines = -(-outs // config.cols) * per_group + (encoding == 2)
            free = config.nv_cols // config.cols - lines
            if free >= 0 and (encoding != 2 or slices <= config.cols):
                return {"outs": outs, "slices": slices, "encoding": encoding, "line0": self.pick(0, free)}

    def vectors(self) -> dict[str, int]:
        """Loops over words and vectors, and the word lines that they fill."""
        config, ebits = self.config, self.rng.choice((2, 4, 8, 16))
        k, n = [self.pick(1, 2) for _ in range(3)], [self.rng.choice((1, 1, 2)) for _ in range(3)]
        rows = self.pick(1, min(config.nv_rows, k[0] * k[1] * k[2] * (16 // ebits)))
        values = {f"k{d}": k[d] for d in range(3)} | {f"n{d}": n[d] for d in range(3)}
        values |= {f"xk{d}": self.pick(0, 3) for d in range(3)} | {f"xv{d}": self.pick(0, 3) for d in range(3)}
        values |= {f"cv{d}": self.pick(-16, 15) for d in range(3)}
        return values | {"ebits": ebits, "abits": self.pick(1, ebits), "rows": rows, "row0": self.pick(0, config.nv_rows - rows),
                         "xbase": self.pick(0, 20)}

    def multiply(self) -> None:
        """`nvmac`, then a drain of its bank."""
        rng, bank = self.rng, self.pick(0, 1)
        self.lines += _sets("nv", macro=self.pick(0, self.config.nv_macros - 1), **self.layer(), **self.vectors(), asigned=self.pick(0, 1),
                            range=rng.choice((0, 0, 1, 3, self.pick(0, 15))), keep=self.pick(0, 1), cg=self.pick(-16, 15), cbase=self.pick(0, 15))
        self.lines.append(f"nvmac {bank} signal(dr)")
        if rng.random() < 0.3:  # a drain beside it; of the same bank, it can meet the ACC stage
            self.lines += [f"set dr.nv, {self.pick(0, 1)}", f"drain {bank if rng.random() < 0.3 else 1 - bank}"]
        self.drain(bank)

    def drain(self, bank: int) -> None:
        rng, accs = self.rng, self.pick(1, 16)
        raw, lanes = rng.choice((1, 0)), rng.choice((1, 1, 2, 4))
        self.lines += _sets("dr", nv=1, raw=raw, acc0=self.pick(0, 16 - accs), accs=accs, lanes=lanes, round=rng.choice((0, 1, 2, 4)), base=0)
        self.lines += [f"drain {bank} wait(nv) signal(nv, st)", "sync nv wait(dr)"]
        words = accs * (2 if raw else lanes)
        self.lines += _sets("st", addr=RESULTS, xs=words, ws=self.config.cols, unit=1, xstride=2 * self.config.cols, wstride=2, base=0)
        self.lines.append("st wait(dr) signal(dr)\nsync dr wait(st)")


def nv_program(seed: int, config: ArrayConfig) -> NvProgram:
    """Return random program ``seed``; most end well, some with ACC_CONFLICT, where a drain that waits for nothing meets NV."""
    draw = Draw(seed, config)
    draw.lines += _sets("ld", fill=20)
    draw.lines += ["set ld.rows, 1", f"set ld.units, {8 * config.p_entries}", "set ld.dstep, 1", "ld p, fill signal(ld)", "sync ld wait(ld)"]
    draw.load()
    for _ in range(draw.pick(1, 3)):
        draw.program()
    for _ in range(draw.pick(1, 4)):
        draw.rng.choice((draw.multiply, draw.multiply, draw.multiply, draw.load, draw.program))()
    text = "\n".join([*draw.lines, "halt", ""])
    memory = np.random.default_rng(seed).integers(0, 256, config.mem_bytes, dtype=np.uint8)
    return NvProgram(isa.assemble(text, config, name=f"nv-{seed}"), memory)
