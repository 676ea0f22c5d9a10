"""One processing element of kind D: context memory, operands, dot unit, ALU, registers, flag, output, accumulators."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.accumulators import LUT_RAM, Accumulators, acc_control
from hdl.alu import DIGIT, DIGITS, Alu, borders, is_op
from hdl.choose import choose, stage
from hdl.common import WORD_BITS, bits_for_count
from hdl.dot import ONE_LANE, PLACE_BITS, WIDTH_LAYOUT, Dot
from hdl.spread import Spread
from isa.table import CONTEXT_FIELDS, PE_CONDS, PE_DESTS, PE_OPS, PE_REGISTERS, PE_ROUTES, PE_SOURCES
from rpa.arch.config import ArrayConfig

NEIGHBOURS = ("north", "east", "south", "west")
CONTEXT_BITS = max(field.hi for field in CONTEXT_FIELDS) + 1
SOURCE = {code.name: code.code for code in PE_SOURCES}
DEST = {code.name: code.code for code in PE_DESTS}
ROUTE = {code.name: code.code for code in PE_ROUTES}
COND = {code.name: code.code for code in PE_CONDS}
FIRST_REGISTER = SOURCE["r0"]
"""Code of register 0 as source and as destination: one bit, the registers' numbers are below it."""
ACC_OPS = tuple(op.name for op in PE_OPS if op.writes == "acc")
RESULT_OPS = tuple(op.name for op in PE_OPS if op.writes == "result")


def context_layout() -> data.Layout:
    """The fields of a context word by name, at their places."""
    return data.FlexibleLayout(CONTEXT_BITS, {field.name: data.Field(field.bits, field.lo) for field in CONTEXT_FIELDS})


def pe_control(config: ArrayConfig) -> data.StructLayout:
    """What is common to all PEs of the array, per cycle."""
    return data.StructLayout({
        "slot": bits_for_count(config.ctx_slots), "word": CONTEXT_BITS,  # of the entry in FEED
        "width": WIDTH_LAYOUT, "a_signed": 1, "w_signed": 1, "first": 1,  # of the entry in EXEC
        "acc": acc_control(),
    })


class Pe(wiring.Component):
    """One PE; ``control`` is common to all, the rest is its own.

    FEED: the context of ``control.slot`` is read; with ``ctx_write``, ``control.word`` is written there at the end of the cycle.
    EXEC, one cycle later: the step is done if ``row_active`` and ``col_active``; ``a``, ``w`` are the buses of this cycle,
    ``north`` ... the neighbours' ``out``. ``acc_use``: the step writes an accumulator, whatever its condition.
    ACC, one cycle later: the accumulator is written. ``drained``: see :class:`hdl.accumulators.Accumulators`.
    ``debug``: lockstep fields of this PE, registered; in a debug build only.
    """

    def __init__(self, config: ArrayConfig, *, debug: bool = False) -> None:
        self.config = config
        self.with_debug = debug
        word = In(WORD_BITS)
        ports = {"control": In(pe_control(config)), "ctx_write": In(1), "row_active": In(1), "col_active": In(1), "a": word, "w": word,
                 **{name: word for name in NEIGHBOURS}, "out": Out(WORD_BITS), "acc_use": Out(1),
                 "drain": In(1), "drained": Out(config.acc_bits)}
        if debug:
            ports["debug"] = Out(data.StructLayout({"flag": 1, "reg_sig": WORD_BITS, "acc_sig": config.acc_bits}))
        super().__init__(ports)

    def _context(self, m: Module) -> data.View:
        """FEED: the context memory and its output register."""
        m.submodules.contexts = memory = Memory(shape=CONTEXT_BITS, depth=self.config.ctx_slots, init=[], attrs=LUT_RAM)
        write, read = memory.write_port(), memory.read_port(domain="comb")
        context = Signal(context_layout())
        m.d.comb += [write.addr.eq(self.control.slot), write.data.eq(self.control.word), write.en.eq(self.ctx_write),
                     read.addr.eq(self.control.slot)]
        m.d.sync += context.eq(read.data)
        return context

    def _immediate(self, imm: Value) -> Value:
        """The immediate in every lane."""
        width = self.control.width
        pair = Cat(imm[:2], Mux(width.b2, imm[:2], imm[2:4]))
        byte = Cat(pair, Mux(width.b2 | width.b4, pair, imm[4:]))
        return Cat(byte, Mux(width.b16, imm[-1].replicate(8), byte))

    def _operands(self, m: Module, context: data.View, registers: Memory, acc: Value) -> list[Value]:
        """Operands x and y; a register port each."""
        imm = Signal(WORD_BITS)
        m.d.comb += imm.eq(self._immediate(context.imm))
        fixed = {"a": self.a, "w": self.w, **{name: getattr(self, name) for name in NEIGHBOURS}, "acc": acc, "imm": imm}
        sources = [fixed[name] for name, code in sorted(SOURCE.items(), key=lambda item: item[1]) if code < FIRST_REGISTER]
        operands = []
        for name in ("x", "y"):
            select, value = context[name], Signal(WORD_BITS, name=name)
            port = registers.read_port(domain="comb")
            low = select[:(FIRST_REGISTER - 1).bit_length()]
            m.d.comb += [port.addr.eq(low), value.eq(Mux(select[-1], port.data, choose(m, low, sources)))]
            operands.append(value)
        return operands

    def _compute(self, m: Module, context: data.View, x: Value, y: Value, flag: Value) -> tuple[Dot, Alu]:
        """Dot unit and ALU. A shift is a 16-bit product with a power of two; a right shift of n places is one of 15 - n."""
        control, op = self.control, context.op
        m.submodules.dot = dot = Dot()
        m.submodules.alu = alu = Alu()
        right, shift, width = Signal(), Signal(), Signal(WIDTH_LAYOUT)
        m.d.comb += [
            right.eq(is_op(op, "shr", "sra")), shift.eq(right | is_op(op, "shl")), width.eq(Mux(shift, ONE_LANE, control.width.as_value())),
            dot.x.eq(x), dot.y.eq(y), dot.shift.eq(shift), dot.places.eq(y[:PLACE_BITS] ^ right.replicate(PLACE_BITS)), dot.width.eq(width),
            dot.x_signed.eq(Mux(shift, is_op(op, "sra"), control.a_signed)), dot.y_signed.eq(control.w_signed),
            alu.x.eq(x), alu.y.eq(y), alu.cut.eq(Cat(borders(control.width))), alu.is_signed.eq(control.a_signed), alu.op.eq(op),
            alu.flag.eq(flag), alu.low.eq(dot.low), alu.right.eq(dot.right), alu.width.eq(width),
        ]
        return dot, alu

    def _accumulate(self, m: Module, acc: Accumulators, context: data.View, dot: Dot, alu: Alu, run: Value) -> None:
        """The end of EXEC: what the ACC stage will do in the next cycle."""
        control, op = self.control, context.op
        m.submodules.spread = spread = Spread(self.config.acc_bits)
        store, add = context.dst == DEST["acc"], context.dst == DEST["acca"]
        is_mac, sums, writes = is_op(op, *ACC_OPS), Signal(), Signal()
        m.d.comb += [
            # The sum of narrow products is one wide lane; so is a 16-bit product.
            sums.eq(is_op(op, "mac") & ~control.width.b16), writes.eq(is_mac | store | add),
            spread.width.eq(control.width.as_value() | Mux(sums, ONE_LANE, 0)),
            spread.low.eq(Mux(sums, dot.total, alu.result)), spread.is_signed.eq(control.a_signed | (is_mac & control.w_signed)),
            self.acc_use.eq(self.row_active & self.col_active & writes),
            spread.high.eq(self._high(m, dot, alu, is_mac, sums)),
        ]
        m.d.sync += [acc.value.eq(spread.value), acc.write.eq(run & writes), acc.clear.eq(control.first | store), acc.split.eq(~is_op(op, "mac"))]

    def _high(self, m: Module, dot: Dot, alu: Alu, is_mac: Value, sums: Value) -> Value:
        """High halves of what goes to the accumulator: of the sum, of the lane products, or the sign of each lane of the result."""
        width, fill = self.control.width, Signal(DIGITS)
        ends = borders(width)
        m.d.comb += [fill[-1].eq(alu.result[-1]), *(fill[k].eq(Mux(end, alu.result[DIGIT * k + 1], fill[k + 1])) for k, end in enumerate(ends))]
        lanes = is_mac & ~sums
        odd = lanes & (width.b4 | width.b16)
        signs = Cat((bit & self.control.a_signed & ~is_mac).replicate(DIGIT) for bit in fill)
        first = Mux(sums, dot.total >> WORD_BITS, signs | odd.replicate(WORD_BITS))[:WORD_BITS]
        narrow = stage(m, first, lanes & (width.b2 | width.b4), dot.high[0], dot.high[1])
        return stage(m, narrow, lanes & (width.b8 | width.b16), dot.high[2], dot.high[3])

    def _route(self, m: Module, context: data.View, x: Value, result: Value, run: Value) -> None:
        """The output register. Without a result, `route result` takes 0: that of `hold`, which is not used otherwise."""
        taken = {"result": result, "x": x, "a": self.a, **{name: getattr(self, name) for name in NEIGHBOURS}, "hold": Const(0, WORD_BITS)}
        values = [taken[name] for name, _ in sorted(ROUTE.items(), key=lambda item: item[1])]
        none = (context.route == ROUTE["result"]) & ~is_op(context.op, *RESULT_OPS)
        with m.If(run & (context.route != ROUTE["hold"])):
            m.d.sync += self.out.eq(choose(m, Mux(none, ROUTE["hold"], context.route)[:len(context.route)], values))

    def elaborate(self, platform) -> Module:
        m = Module()
        flag, run = Signal(), Signal()
        context = self._context(m)
        m.submodules.registers = registers = Memory(shape=WORD_BITS, depth=PE_REGISTERS, init=[], attrs=LUT_RAM)
        write = registers.write_port()
        m.submodules.acc = acc = Accumulators(self.config.acc_bits)
        x, y = self._operands(m, context, registers, acc.source)
        dot, alu = self._compute(m, context, x, y, flag)
        blocked = ((context.cond == COND["p"]) & ~flag) | ((context.cond == COND["np"]) & flag)
        m.d.comb += [
            run.eq(self.row_active & self.col_active & ~blocked),
            write.en.eq(run & context.dst[-1]), write.addr.eq(context.dst), write.data.eq(alu.result),
            acc.control.eq(self.control.acc), acc.drain.eq(self.drain), self.drained.eq(acc.drained),
        ]
        with m.If(run & is_op(context.op, "ceq", "clt")):
            m.d.sync += flag.eq(Mux(is_op(context.op, "ceq"), alu.equal, alu.less))
        self._accumulate(m, acc, context, dot, alu, run)
        self._route(m, context, x, alu.result, run)
        if self.with_debug:
            self._signatures(m, acc, write, flag)
        return m

    def _signatures(self, m: Module, acc: Accumulators, write, flag: Signal) -> None:
        """Debug build: signatures over every register and accumulator write (design.md section 9)."""
        debug, control = self.debug, self.control.acc
        m.d.comb += debug.flag.eq(flag)
        with m.If(write.en):
            m.d.sync += debug.reg_sig.eq(debug.reg_sig.rotate_left(1) ^ write.data ^ (write.addr << 8))
        with m.If(acc.write):
            m.d.sync += debug.acc_sig.eq(debug.acc_sig.rotate_left(1) ^ acc.written ^ Cat(control.index, control.bank))
