"""The PE array: rows x cols equal PEs, neighbour links, and the row multiplexer of the drain."""

from amaranth import Cat, Module, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import WORD_BITS, Sharing, place
from hdl.pe import Pe, pe_control
from rpa.arch.config import ArrayConfig

OFFSETS = {"north": (-1, 0), "east": (0, 1), "south": (1, 0), "west": (0, -1)}


class PeArray(wiring.Component):
    """All PEs; the ports of :class:`hdl.pe.Pe` per row, per column or for all.

    ``ctx_rows``, ``ctx_cols``: PEs that take the context word in this cycle. ``row_active``, ``col_active``: PEs that do the step in EXEC.
    ``acc_use``: some working PE's step writes an accumulator. ``drain_rows`` (at most one bit set): the PE row whose
    accumulators are on ``drained``.
    """

    def __init__(self, config: ArrayConfig, *, debug: bool = False, sharing: Sharing | None = None) -> None:
        self.config, self.with_debug, self.sharing = config, debug, sharing
        rows, cols = config.rows, config.cols
        ports = {
            "control": In(pe_control(config)), "ctx_rows": In(rows), "ctx_cols": In(cols), "row_active": In(rows), "col_active": In(cols),
            "a": In(data.ArrayLayout(unsigned(WORD_BITS), rows)), "w": In(data.ArrayLayout(unsigned(WORD_BITS), cols)),
            "acc_use": Out(1), "drain_rows": In(rows), "drained": Out(data.ArrayLayout(unsigned(config.acc_bits), cols)),
        }
        if debug:
            each = {"pe_out": WORD_BITS, "pe_flag": 1, "pe_reg_sig": WORD_BITS, "pe_acc_sig": config.acc_bits}
            ports["debug"] = Out(data.StructLayout({name: rows * cols * bits for name, bits in each.items()}))
        super().__init__(ports)

    def elaborate(self, platform) -> Module:
        m = Module()
        rows, cols = range(self.config.rows), range(self.config.cols)
        grid = {(r, c): place(m, f"pe_{r}_{c}", lambda: Pe(self.config, debug=self.with_debug), module="rpa_pe", sharing=self.sharing)
                for r in rows for c in cols}
        for (r, c), pe in grid.items():
            m.d.comb += [
                pe.control.eq(self.control), pe.ctx_write.eq(self.ctx_rows[r] & self.ctx_cols[c]), pe.row_active.eq(self.row_active[r]),
                pe.col_active.eq(self.col_active[c]), pe.a.eq(self.a[r]), pe.w.eq(self.w[c]), pe.drain.eq(self.drain_rows[r]),
            ]
            for side, (down, right) in OFFSETS.items():
                neighbour = grid.get((r + down, c + right))
                m.d.comb += getattr(pe, side).eq(neighbour.out if neighbour else 0)
        m.d.comb += self.acc_use.eq(Cat(pe.acc_use for pe in grid.values()).any())
        for c in cols:
            m.d.comb += self.drained[c].eq(_either([grid[r, c].drained for r in rows]))
        if self.with_debug:
            self._show(m, list(grid.values()))
        return m

    def _show(self, m: Module, pes: list[Pe]) -> None:
        debug = self.debug
        m.d.comb += [
            debug.pe_out.eq(Cat(pe.out for pe in pes)), debug.pe_flag.eq(Cat(pe.debug.flag for pe in pes)),
            debug.pe_reg_sig.eq(Cat(pe.debug.reg_sig for pe in pes)), debug.pe_acc_sig.eq(Cat(pe.debug.acc_sig for pe in pes)),
        ]


def _either(values: list[Value]) -> Value:
    """Bitwise or of values of which at most one is not 0."""
    result = values[0]
    for value in values[1:]:
        result = result | value
    return result
