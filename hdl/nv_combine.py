"""COMBINE: the lines of codes of a pass, one after the other, on their way to the accumulators (`docs/design.md` section 15)."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.accumulators import INDEX_BITS
from hdl.common import WORD_BITS, bits_for_count, register_layout
from hdl.macro import line_count
from hdl.nv_accumulators import acc_row
from hdl.nv_plan import SLICE_BITS, Encoding, plan_layout
from rpa.arch.config import ArrayConfig

SIGNATURE_BITS = 16
REFERENCE_BITS = 2 * WORD_BITS
"""Sixteen codes, each shifted by at most 15 places."""
SHIFT_BITS = 5
"""nv.range plus the place of a digit, 0..30."""


def line_layout(config: ArrayConfig) -> data.StructLayout:
    """A visit of COMBINE."""
    return data.StructLayout({
        "number": bits_for_count(line_count(config)),  # of the line in the macro
        "slice": SLICE_BITS,                           # digit of the weights in it; of the reference: the lane with that digit
        "reference": 1,                                # the visit adds a digit of the reference, and no line
        "opens": 1,                                    # the first line of a group
        "second": 1,                                   # cells of negative weights
        "index": INDEX_BITS,                           # accumulator of the group
    })


class LineWalk(wiring.Component):
    """The visits of a pass: digits of the reference, then line after line of every group.

    ``begin``: the next visit is the first, and the first group's accumulator is ``index``. ``step``: this cycle is a visit; ``line`` tells which,
    ``last`` that no other follows.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        super().__init__({"regs": In(register_layout(config, "nv")), "plan": In(plan_layout()), "begin": In(1), "step": In(1),
                          "index": In(INDEX_BITS), "line": Out(line_layout(config)), "last": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        regs, plan, line = self.regs, self.plan, self.line
        at = Signal(data.StructLayout({**{name: field.width for name, field in line.shape() if name != "opens"}, "groups": len(plan.groups)}))
        has_reference = regs.encoding == Encoding.REFERENCE
        slices_end, group_end = Signal(), Signal()
        m.d.comb += [
            *(line[name].eq(at[name]) for name, _ in line.shape() if name != "opens"),
            line.opens.eq(~at.reference & (at.slice == 0) & ~at.second), slices_end.eq(at.slice + 1 == regs.slices),
            group_end.eq(~at.reference & slices_end & (at.second | (regs.encoding != Encoding.DIFFERENTIAL))),
            self.last.eq(group_end & (at.groups == 1)),
        ]
        with m.If(self.begin):
            m.d.sync += [at.number.eq(regs.line0 + Mux(has_reference, plan.lines - 1, 0)), at.slice.eq(0), at.reference.eq(has_reference),
                         at.second.eq(0), at.index.eq(self.index), at.groups.eq(plan.groups)]
        with m.Elif(self.step):
            m.d.sync += at.slice.eq(Mux(slices_end, 0, at.slice + 1))
            with m.If(~at.reference):
                m.d.sync += at.number.eq(at.number + 1)
            with m.Elif(slices_end):
                m.d.sync += [at.number.eq(regs.line0), at.reference.eq(0)]
            with m.If(group_end):
                m.d.sync += [at.second.eq(0), at.groups.eq(at.groups - 1), at.index.eq(at.index + regs.cg)]
            with m.Elif(~at.reference & slices_end):
                m.d.sync += at.second.eq(1)
        return m


class Combine(wiring.Component):
    """Codes of a line to what is added to the accumulators in the cycle after the visit, ``value`` (registered).

    ``begin``: the reference is 0 again. ``visit``, ``line``: the visit of this cycle; ``negates``: the pass has negative weight, 2^``shift`` the
    weight of its digits times the step of a code. ``codes_sig`` (debug build) is the lockstep field `nv_codes_sig`.
    """

    def __init__(self, config: ArrayConfig, *, debug: bool = False) -> None:
        self.config, self.with_debug = config, debug
        ports = {"codes": In(config.nv_cols * config.nv_adc_bits), "begin": In(1), "visit": In(1), "line": In(line_layout(config)),
                 "negates": In(1), "shift": In(SHIFT_BITS), "value": Out(acc_row(config))}
        if debug:
            ports["codes_sig"] = Out(SIGNATURE_BITS)
        super().__init__(ports)

    def elaborate(self, platform) -> Module:
        m = Module()
        config, line = self.config, self.line
        reference, minus, digit_place = Signal(REFERENCE_BITS), Signal(REFERENCE_BITS), Signal(bits_for_count(WORD_BITS))
        codes = Signal(config.cols * config.nv_adc_bits)
        m.d.comb += [codes.eq(self.codes.word_select(line.number, len(codes))), digit_place.eq(line.slice * config.nv_cell_bits),
                     minus.eq(Mux(line.opens, reference, 0))]
        lanes = [codes.word_select(lane, config.nv_adc_bits) for lane in range(config.cols)]
        with m.If(self.begin):
            m.d.sync += reference.eq(0)
        with m.Elif(self.visit & line.reference):
            m.d.sync += reference.eq(reference + (codes.word_select(line.slice, config.nv_adc_bits) << digit_place))
        for lane, code in enumerate(lanes):
            weighed = Signal(config.acc_bits, name=f"weighed{lane}")
            m.d.comb += weighed.eq(((code << digit_place) - minus) << self.shift)
            m.d.sync += self.value[lane].eq(Mux(self.negates ^ line.second, -weighed, weighed))
        if self.with_debug:
            with m.If(self.visit):
                m.d.sync += self.codes_sig.eq(self._signed(lanes))
        return m

    def _signed(self, lanes: list[Value]) -> Value:
        """The signature after this line."""
        signature: Value = self.codes_sig
        for code in lanes:
            signature = signature.rotate_left(1) ^ code
        return signature
