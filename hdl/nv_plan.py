"""What the registers of an `nvmac` or `nvprog` imply, and whether they contradict each other (`docs/design.md` section 15)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import WORD_BITS, register_layout
from hdl.macro import line_count
from isa.table import NV_DIMS, REGISTERS, WIDTHS
from rpa.arch.config import ArrayConfig
from rpa.arch.macro import CELLS_IN_A_WORD

GROUP_BITS = 11
"""Bits of a number of groups: at most 1024 outputs, in groups of one."""
SLICE_BITS = 5
LINES_BITS = GROUP_BITS + SLICE_BITS + 1
_LARGEST = {register.name: (1 << register.bits) - 1 for register in REGISTERS if register.engine == "nv"}


class Encoding(enum.Enum, shape=2):
    """Values of nv.encoding."""

    PLAIN = 0
    DIFFERENTIAL = 1
    REFERENCE = 2


def plan_layout() -> data.StructLayout:
    """``groups`` of outputs; ``lines`` of the layer, the reference's among them."""
    return data.StructLayout({"groups": GROUP_BITS, "lines": LINES_BITS})


def elements_of(ebits: Value) -> Value:
    """16/ebits: activations in a word."""
    return Cat(ebits == width for width in sorted(WIDTHS, reverse=True))


class NvPlan(wiring.Component):
    """Combinational. ``regs``: shadow registers; ``programs``: the head is an `nvprog`, else an `nvmac`."""

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        super().__init__({"regs": In(register_layout(config, "nv")), "programs": In(1), "plan": Out(plan_layout()), "bad": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        config, regs, plan = self.config, self.regs, self.plan
        group_lines = Signal(SLICE_BITS + 1)
        bad_mac, bad_program = Signal(), Signal()
        m.d.comb += [
            plan.groups.eq((regs.outs + config.cols - 1) >> (config.cols.bit_length() - 1)),
            group_lines.eq(regs.slices << (regs.encoding == Encoding.DIFFERENTIAL)),
            plan.lines.eq(plan.groups * group_lines + (regs.encoding == Encoding.REFERENCE)),
            bad_mac.eq((regs.abits > regs.ebits) | self._few_words(m) | (regs.slices > WORD_BITS // config.nv_cell_bits)
                       | ((regs.encoding == Encoding.REFERENCE) & (regs.slices > config.cols)) | (regs.line0 + plan.lines > line_count(config))),
            bad_program.eq(self._bad_columns()),
            self.bad.eq((regs.macro >= config.nv_macros) | (regs.row0 + regs.rows > config.nv_rows) | Mux(self.programs, bad_program, bad_mac)),
        ]
        return m

    def _bad_columns(self) -> Value:
        """The columns that an `nvprog` writes do not begin at a multiple of four, or end beyond the macro."""
        first = self.regs.line0 * self.config.cols
        crooked = first[:CELLS_IN_A_WORD.bit_length() - 1] != 0
        return crooked | (first + (self.regs.k0 << (CELLS_IN_A_WORD.bit_length() - 1)) > self.config.nv_cols)

    def _few_words(self, m: Module) -> Value:
        """A vector has fewer elements than word lines. Counts are cut to what is enough in any case, which keeps products small."""
        enough = _LARGEST["nv.rows"]
        words: Value = Const(1)
        for d in range(NV_DIMS):
            product = Signal(2 * enough.bit_length(), name=f"words{d}")
            count = self.regs[f"k{d}"]
            m.d.comb += product.eq(words * Mux(count > enough, enough, count)[:enough.bit_length()])
            words = Mux(product > enough, enough, product)[:enough.bit_length()]
        needed = Signal(enough.bit_length() + 1)
        with m.Switch(self.regs.ebits):
            for width in WIDTHS:
                each = WORD_BITS // width
                with m.Case(width):
                    m.d.comb += needed.eq((self.regs.rows + (each - 1)) >> (each.bit_length() - 1))
        return words < needed
