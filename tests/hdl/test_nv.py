"""NV alone, behind its queue: addresses, digits and cycles by hand, with a macro in Python that may be late."""

from __future__ import annotations

import pytest

from hdl.nv import Nv
from rpa.arch.config import ArrayConfig
from tests.hdl.control_bench import simulate
from tests.hdl.engine_bench import EngineBench, entries

TINY = ArrayConfig.preset("tiny")
CODE_BITS = TINY.nv_adc_bits


class NvBench(EngineBench):
    """NV with an X bank whose word at address a is 3*a + 5, and a macro whose bit line c answers c, ``late`` cycles after its time."""

    def __init__(self, late: int = 0) -> None:
        super().__init__(Nv(TINY, debug=True))
        self.late, self.word, self.done_at = late, 0, -1
        self.reads: list[tuple[int, int]] = []
        """(cycle, address)."""
        self.starts: list[tuple[int, dict[str, int]]] = []
        self.cells: list[tuple[int, int, int, int, int]] = []
        """(cycle, macro, row, first column, data)."""
        self.sums: dict[tuple[int, int], list[int]] = {}
        """What the drain would find, by (bank, index)."""

    def drive(self, ctx, cycle: int) -> None:
        ctx.set(self.engine.x.data[0], self.word)
        ctx.set(self.engine.macro.done, cycle == self.done_at)
        ctx.set(self.engine.macro.codes, sum((c & (1 << CODE_BITS) - 1) << CODE_BITS * c for c in range(TINY.nv_cols)))

    def sample(self, ctx, cycle: int) -> None:
        engine, macro = self.engine, self.engine.macro
        if ctx.get(engine.x.en):
            address = ctx.get(engine.x.addr)
            self.reads.append((cycle, address))
            self.word = 3 * address + 5
        if ctx.get(macro.prog_valid):
            self.cells.append((cycle, ctx.get(macro.prog_macro), ctx.get(macro.prog_row), 4 * ctx.get(macro.prog_col), ctx.get(macro.prog_data)))
        if ctx.get(macro.start):
            self.starts.append((cycle, {name: ctx.get(getattr(macro, name)) for name in ("macro", "digits", "range", "limit", "line0", "lines")}))
            rounds = -(-self.starts[-1][1]["lines"] * TINY.cols // TINY.nv_adcs)
            self.done_at = cycle + TINY.nv_settle + rounds * TINY.nv_adc_cycles + self.late

    def result(self, ctx, bank: int, index: int) -> None:
        ctx.set(self.engine.acc.bank, bank)
        ctx.set(self.engine.acc.index, index)
        self.sums[bank, index] = [ctx.get(self.engine.acc.data[c]) for c in range(TINY.cols)]


def run(registers: dict[str, int], command: str, *, cycles: int = 200, late: int = 0, results=(), **operands: int) -> NvBench:
    rig = NvBench(late)
    script = rig.bench(entries("nv", registers, command, signal=4, **operands), cycles)

    async def bench(ctx):
        await script(ctx)
        for bank, index in results:
            rig.result(ctx, bank, index)

    simulate(rig.engine, bench)
    return rig


VECTORS = {"macro": 1, "row0": 1, "rows": 6, "line0": 2, "outs": 3, "ebits": 4, "abits": 3, "asigned": 0, "k0": 2, "xk0": 5, "n0": 2, "xv0": 1,
           "xbase": 4, "cbase": 15, "cv0": 3, "cg": 2}
"""Two vectors of two words, three passes of two groups: one line each."""


@pytest.mark.parametrize("late", [0, 3])
def test_vectors_by_hand(late):
    rig = run(VECTORS, "nvmac", bank=1, late=late, results=[(1, 15), (1, 1), (1, 2), (1, 4), (0, 15)])
    # V = kw + 1 + P * (1 + TM + C); TM = 1 + ceil(2 lines * 2 columns / 4 converters) * 5.
    a_pass = 1 + (1 + 1 * 5 + late) + 2
    vector = 2 + 1 + 3 * a_pass
    t = rig.start
    assert rig.reads == [(t + 1 + v * vector + word, 4 + v + 5 * word) for v in range(2) for word in range(2)]
    assert [cycle for cycle, _ in rig.starts] == [t + 1 + v * vector + 3 + p * a_pass for v in range(2) for p in range(3)]
    assert rig.gives == [(t + 2 * vector + 1, 4, 7)]
    for number, (_, asked) in enumerate(rig.starts):
        elements = [(3 * (4 + number // 3 + 5 * (e // 4)) + 5) >> 4 * (e % 4) & 15 for e in range(6)]
        digits = [value >> number % 3 & 1 for value in elements]
        most = min(sum(digits) * 3, 15)
        assert asked == {"macro": 1, "digits": sum(digit << 1 + e for e, digit in enumerate(digits)), "range": 0, "line0": 2, "lines": 2,
                         "limit": (1 << most.bit_length()) - 1}
    # Every pass adds the code of each bit line, its number, with the weight of the pass.
    assert rig.sums == {(1, 15): [28, 35], (1, 1): [42, 49], (1, 2): [28, 35], (1, 4): [42, 49], (0, 15): [0, 0]}
    assert rig.totals["nv_macs"] == 2 * 6 * 3 and rig.totals["nv_conversions"] + rig.totals["nv_skipped"] == 6 * 4


def test_programming_by_hand():
    rig = run({"macro": 1, "row0": 3, "rows": 2, "line0": 4, "k0": 2, "xbase": 10, "xv0": -3}, "nvprog")
    t, row = rig.start, 2 + 1 + TINY.nv_prog_cycles
    assert rig.reads == [(t + 1 + r * row + word, 10 - 3 * r + word) for r in range(2) for word in range(2)]
    for (cycle, which, line, column, packed), (read, address) in zip(rig.cells, rig.reads, strict=True):
        number = (read - t - 1) % row
        word = 3 * address + 5
        assert (cycle, which, line, column) == (read + 1, 1, 3 + (read - t - 1) // row, 8 + 4 * number)
        assert packed == sum((word >> 4 * i & 3) << 2 * i for i in range(4))
    assert rig.gives == [(t + 2 * row, 4, 7)]
    assert (rig.totals["nv_programmed"], rig.totals["x_reads"]) == (16, 4)


def test_sync_takes_one_cycle():
    rig = run({}, "sync", engine=4)
    assert (rig.start, rig.gives) == (1, [(2, 4, 7)])


@pytest.mark.parametrize(("registers", "command", "fault"), [
    ({**VECTORS, "xk0": 60}, "nvmac", ("BANK_RANGE", 7, 64)), ({"xbase": 63, "k0": 2}, "nvprog", ("BANK_RANGE", 7, 64)),
    ({**VECTORS, "macro": 2}, "nvmac", ("ILLEGAL_CONFIG", 7, 4)), ({"line0": 1}, "nvprog", ("ILLEGAL_CONFIG", 7, 4)),
])
def test_faults(registers, command, fault):
    rig = run(registers, command, **({"bank": 0} if command == "nvmac" else {}))
    assert rig.fault == fault and rig.gives == [] and not rig.starts
    assert rig.totals["x_reads"] == (fault[0] == "BANK_RANGE")
