"""The queue in front of an engine, also used for what waits for data in LD."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import bits_for_count


class Queue(wiring.Component):
    """Ring of ``depth`` entries (a power of two, at least 2) of ``shape``.

    An entry pushed in cycle t is at the head from t+1 on if it is the oldest. ``push`` is allowed while ``full`` is 0; ``full``
    and ``count`` are registered, so a pop in the same cycle makes no room for a push. ``head`` means something while
    ``count`` is not 0; ``pop`` is allowed then.
    """

    def __init__(self, depth: int, shape) -> None:
        self.depth, self.shape = depth, shape
        super().__init__({
            "push": In(1),
            "entry": In(shape),
            "full": Out(1),
            "pop": In(1),
            "head": Out(shape),
            "valid": Out(1),
            "count": Out(range(depth + 1)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.ring = ring = memory.Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = ring.write_port(), ring.read_port(domain="comb")
        tail, front = Signal(bits_for_count(self.depth)), Signal(bits_for_count(self.depth))
        m.d.comb += [
            write.en.eq(self.push), write.addr.eq(tail), write.data.eq(self.entry),
            read.addr.eq(front), self.head.eq(read.data),
            self.full.eq(self.count == self.depth), self.valid.eq(self.count != 0),
        ]
        m.d.sync += [tail.eq(tail + self.push), front.eq(front + self.pop), self.count.eq(self.count + self.push - self.pop)]
        return m
