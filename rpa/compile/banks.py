"""Which part of the banks comes next. Under the protocol of `rpa.compile.commands.Stage` a part is free when its turn comes.

Constants that are loaded once lie behind each other while a part has room: then a layer's can come while those before are in use.
"""

from __future__ import annotations

from dataclasses import dataclass

from rpa.arch.config import ArrayConfig
from rpa.compile.layout import align

PARAM_RING = 4
"""Parts of the P banks: drains lag behind runs by up to two blocks, and loads run two stages ahead."""


@dataclass
class Banks:
    """Turns of the double buffers; they go on from layer to layer."""

    config: ArrayConfig
    packed: bool = True
    """Whether weights that are loaded once lie behind each other. Else each load has a half for itself: it comes later, and holds up less."""
    _a: int = 0
    _w: int = 0
    _w_used: int | None = None
    """Words of this half that are taken; None: all, by a load that has the half for itself."""
    _p: int = 0
    _p_used: int | None = None
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
        """Address of the half for the next load of weights, which has it for itself."""
        self._w ^= 1
        self._w_used = None
        return self._w * self.w_words

    def append_w(self, words: int) -> int:
        """Address for weights that are loaded once: behind those of the load before while they fit."""
        words = align(words, self.config.bus_words)
        if not self.packed or self._w_used is None or self._w_used + words > self.w_words:
            self.next_w()
            self._w_used = 0
        self._w_used += words
        return self._w * self.w_words + self._w_used - words

    def next_x(self) -> int:
        """Address of the half for the next load of what a macro reads."""
        self._x ^= 1
        return self._x * self.x_words

    def next_p(self) -> int:
        """First entry of the part for the next load of parameters, which has it for itself."""
        self._p = (self._p + 1) % PARAM_RING
        self._p_used = None
        return self._p * self.p_entries

    def append_p(self, entries: int) -> int:
        """First entry for parameters: behind those of the load before while they fit."""
        if self._p_used is None or self._p_used + entries > self.p_entries:
            self.next_p()
            self._p_used = 0
        self._p_used += entries
        return self._p * self.p_entries + self._p_used - entries

    def next_block(self) -> tuple[int, int]:
        """Bank of accumulators (0 or 1) and O address of the next block."""
        self._block ^= 1
        return self._block, self._block * self.o_words
