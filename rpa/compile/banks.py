"""Which half of the banks comes next. Under the protocol of `rpa.compile.commands.Stage` a half is free when its turn comes."""

from __future__ import annotations

from dataclasses import dataclass

from rpa.arch.config import ArrayConfig

PARAM_RING = 4
"""Parts of the P banks: drains lag behind runs by up to two blocks, and loads run two stages ahead."""


@dataclass
class Banks:
    """Turns of the double buffers; they go on from layer to layer."""

    config: ArrayConfig
    _a: int = 0
    _w: int = 0
    _p: int = 0
    _block: int = 0
    _x: int = 0

    @property
    def a_words(self) -> int:
        """Words of half an A bank."""
        return self.config.a_depth // 2

    @property
    def w_words(self) -> int:
        """Words of half a W bank."""
        return self.config.w_depth // 2

    @property
    def x_words(self) -> int:
        """Words of half the X bank."""
        return self.config.x_depth // 2

    @property
    def o_words(self) -> int:
        """Words of half an O bank."""
        return self.config.o_depth // 2

    @property
    def p_entries(self) -> int:
        """Entries of a part of a P bank."""
        return self.config.p_entries // PARAM_RING

    def next_a(self) -> int:
        """Address of the half for the next load of activations."""
        self._a ^= 1
        return self._a * self.a_words

    def next_w(self) -> int:
        """Address of the half for the next load of weights."""
        self._w ^= 1
        return self._w * self.w_words

    def next_x(self) -> int:
        """Address of the half for the next load of what a macro reads."""
        self._x ^= 1
        return self._x * self.x_words

    def next_p(self) -> int:
        """First entry of the part for the next load of parameters."""
        self._p = (self._p + 1) % PARAM_RING
        return self._p * self.p_entries

    def next_block(self) -> tuple[int, int]:
        """Bank of accumulators (0 or 1) and O address of the next block."""
        self._block ^= 1
        return self._block, self._block * self.o_words
