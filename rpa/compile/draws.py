"""What stochastic rounding draws: the state of the LFSR for every element that a program stores, from the order in which it drains.

The program is followed instruction by instruction (`rpa.compile.follow`); drains fill O banks with states instead of integers, stores carry
them to external memory by the rules of docs/design.md, sections 7 and 8. Nothing here knows tiles or kernels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from isa.program import Program
from isa.table import ROUNDINGS
from rpa.arch.config import ArrayConfig
from rpa.arch.lfsr import LFSR_RESET, lfsr_jump, lfsr_seed, lfsr_sequence
from rpa.compile.errors import CompileError
from rpa.compile.follow import follow
from rpa.compile.layout import Placed
from rpa.net.integer import IntNet, Mac, Product

STOCHASTIC = next(mode.code for mode in ROUNDINGS if mode.name == "stochastic")
_ELEMENTS = 8
"""Of a word, at most."""


def rounds_stochastically(net: IntNet) -> list[str]:
    """Features that are rounded so."""
    return [node.output for node in net.nodes if isinstance(node, Mac | Product) and node.rounding == "stochastic"]


def states_of(program: Program, features: Iterable[Placed]) -> dict[str, np.ndarray]:
    """States (H, W, C) of these features by name: with them the reference rounds as the array does. CompileError if `program` cannot be followed."""
    machine = _Machine(ArrayConfig.from_dict(program.config), tuple(features))
    for command in follow(program):
        if command.text.startswith("seed"):
            machine.seed(command.value)
        elif command.text.startswith("drain"):
            machine.drain(command.registers)
        elif command.text == "st":
            machine.store(command.registers)
    return {placed.feature.name: machine.read(placed) for placed in machine.features}


class _Machine:
    """O banks and features that hold states; 0 where nothing was drawn."""

    def __init__(self, config: ArrayConfig, features: tuple[Placed, ...]) -> None:
        self.config, self.features = config, features
        self._lfsr = np.full(config.cols, LFSR_RESET, np.int64)
        self._o = np.zeros((config.o_depth, _ELEMENTS, config.cols), np.int64)
        self._stored = {placed.feature.name: np.zeros((placed.words, _ELEMENTS), np.int64) for placed in features}
        self._bits = 16

    def seed(self, value: int) -> None:
        self._lfsr = np.array([lfsr_seed(value, column) for column in range(self.config.cols)])

    def drain(self, registers: Mapping[str, int]) -> None:
        rows, count = registers["dr.rows"], registers["dr.accs"] * registers["dr.lanes"]
        self._bits = registers["dr.bits"]
        drawn = np.zeros((rows * count, self.config.cols), np.int64)
        if registers["dr.round"] == STOCHASTIC:
            drawn = lfsr_sequence(self._lfsr, rows * count)
            self._lfsr = lfsr_jump(self._lfsr, rows * count)
        elements = 16 // self._bits
        words = registers["dr.base"] + _signed(registers["dr.pitch"]) * np.arange(rows)[:, None] + np.arange(count) // elements
        self._o[words.reshape(-1) & 0xFFFF, np.tile(np.arange(count) % elements, rows)] = drawn

    def store(self, registers: Mapping[str, int]) -> None:
        placed = self._target(registers["st.addr"])
        if placed is None:
            return
        bits, cols = registers["st.bits"], self.config.cols
        elements = 16 // bits
        if bits not in (16, self._bits):
            raise CompileError(f"a store of {bits}-bit elements behind a drain of {self._bits}-bit ones")
        row, step, unit, word = np.meshgrid(*(np.arange(registers[f"st.{name}"]) for name in ("rows", "xs", "ws", "unit")), indexing="ij")
        element = step * registers["st.xstep"]
        line = (registers["st.base"] + row * _signed(registers["st.pitch"]) + element // elements) & 0xFFFF
        index = (registers["st.col0"] + element % elements * (cols // elements) + unit * registers["st.unit"] + word) % cols
        to = registers["st.addr"] + row * _signed(registers["st.rstride"]) + step * _signed(registers["st.xstride"]) \
            + unit * _signed(registers["st.wstride"])
        to = (to - placed.address) // 2 + word
        stored = self._stored[placed.feature.name]
        for slot in range(16 // self._bits):
            if bits == 16:      # words as they are: a bank's word goes on with its own next element
                stored[to, slot] = self._o[line, slot, index]
            else:               # across columns: a word is the same element of neighbouring columns
                stored[to, slot] = self._o[line, index // (cols // elements), index % (cols // elements) * elements + slot]

    def _target(self, address: int) -> Placed | None:
        return next((placed for placed in self.features if placed.address <= address < placed.address + 2 * placed.words), None)

    def read(self, placed: Placed) -> np.ndarray:
        """States (H, W, C)."""
        height, width, channels = placed.feature.shape
        bits, channel = placed.feature.bits, np.arange(channels)
        words = np.array([[placed.offset_words(y, x) for x in range(width)] for y in range(height)])
        return self._stored[placed.feature.name][words[..., None] + channel * bits // 16, channel * bits % 16 // bits]


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def seed_lines(net: IntNet, seed: int) -> Iterator[str]:
    """Assembly in front of a program whose rounding draws numbers."""
    if rounds_stochastically(net):
        yield f"        li    r15, {seed & 0xFFFFFFFF}"
        yield "        seed  r15"
