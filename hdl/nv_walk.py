"""Where NV reads the X bank: vectors of an `nvmac` or rows of an `nvprog`, and the words of each (`docs/design.md` section 15)."""

from __future__ import annotations

from amaranth import Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.accumulators import INDEX_BITS
from hdl.common import register_layout
from hdl.streams import AffineStream, LoopNest
from hdl.windows import ADDRESSES
from isa.table import NV_DIMS
from rpa.arch.config import ArrayConfig


class NvWalk(wiring.Component):
    """``address`` is where the word of this cycle stands; ``first_word``, ``last_word``: of its vector (or row).

    ``start``: a command starts; ``shadow``: its registers, ``regs`` the same from the next cycle on, as ``programs``, it is an `nvprog`.
    ``word``: this cycle reads. ``vector``: a vector is complete; from the next cycle on ``index``, the accumulator of its first group, and
    ``last``, no other follows, belong to it. ``rewind`` in some later cycle: the words of the next vector come next.
    """

    def __init__(self, config: ArrayConfig) -> None:
        registers = register_layout(config, "nv")
        super().__init__({
            "start": In(1), "shadow": In(registers), "regs": In(registers), "programs": In(1), "word": In(1), "vector": In(1), "rewind": In(1),
            "address": Out(ADDRESSES), "first_word": Out(1), "last_word": Out(1), "index": Out(INDEX_BITS), "last": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        regs, shadow, programs = self.regs, self.shadow, self.programs
        # An `nvprog` is two loops: words one after the other, rows nv.xv0 apart.
        words, address = self._loops(m, "words", [regs[f"k{d}"] if d == 0 else Mux(programs, 1, regs[f"k{d}"]) for d in range(NV_DIMS)],
                                     {"address": [Mux(programs, 1, regs.xk0), regs.xk1, regs.xk2]}, self.word)
        vectors, base, index = self._loops(m, "vectors", [Mux(programs, 1 if d else regs.rows, regs[f"n{d}"]) for d in range(NV_DIMS)],
                                           {"base": [regs[f"xv{d}"] for d in range(NV_DIMS)], "index": [regs[f"cv{d}"] for d in range(NV_DIMS)]},
                                           self.vector)
        begin = self.start | self.rewind
        m.d.comb += [
            words.start.eq(begin), address.start.eq(begin), address.base.eq(Mux(self.start, shadow.xbase, base.value)),
            vectors.start.eq(self.start), base.start.eq(self.start), base.base.eq(shadow.xbase), index.start.eq(self.start),
            index.base.eq(shadow.cbase),
            self.address.eq(address.value), self.first_word.eq(words.nonzero == 0), self.last_word.eq(words.at_end),
        ]
        with m.If(self.vector):
            m.d.sync += [self.index.eq(index.value), self.last.eq(vectors.at_end)]
        return m

    def _loops(self, m: Module, name: str, counts: list[Value], streams: dict[str, list[Value]], step: Value) -> list:
        """A loop nest and the streams over it (name -> strides), which go on with ``step``."""
        m.submodules[name] = nest = LoopNest(NV_DIMS)
        m.d.comb += [nest.step.eq(step), *(nest.counts[d].eq(count) for d, count in enumerate(counts))]
        made = []
        for stream_name, strides in streams.items():
            m.submodules[stream_name] = stream = AffineStream(INDEX_BITS if stream_name == "index" else ADDRESSES, NV_DIMS)
            m.d.comb += [stream.step.eq(step), stream.advances.eq(nest.advances), *(stream.strides[d].eq(stride) for d, stride in enumerate(strides))]
            made.append(stream)
        return [nest, *made]
