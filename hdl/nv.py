"""NV: vectors of the X bank through NOR-flash macros into the NV accumulators, and programming (`docs/design.md` section 15)."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import Out

from hdl.accumulators import INDEX_BITS
from hdl.common import OPCODE, bank_read, engine_port, events_layout, fault, operand
from hdl.engine import EngineFront
from hdl.macro import CONTAINER_BITS, signature
from hdl.nv_accumulators import NvAccumulators, nv_acc_read
from hdl.nv_combine import SIGNATURE_BITS, Combine, LineWalk
from hdl.nv_passes import NvPasses, Resolution
from hdl.nv_plan import NvPlan, plan_layout
from hdl.nv_walk import NvWalk
from hdl.nv_word_lines import WordLines
from rpa.arch.config import ArrayConfig
from rpa.arch.macro import CELLS_IN_A_WORD


class Phase(enum.Enum, shape=3):
    """What a busy NV does in a cycle. `sync` stays in IDLE."""

    IDLE = 0
    LOAD = 1     # one word of the vector, or of the row, is read
    LOADED = 2   # the last word arrives
    START = 3    # an operation begins
    WAIT = 4     # the macro converts
    COMBINE = 5  # one line of codes
    LAST = 6     # the last line is added
    PROGRAM = 7  # the row is programmed


class Nv(wiring.Component):
    """The engine of the NOR-flash macros.

    ``x``: reads of the X bank. ``macro``: see :mod:`hdl.macro`. ``acc``: accumulators, for the drain. A macro that raises ``done`` later than it
    should delays the engine, and nothing else changes.
    """

    def __init__(self, config: ArrayConfig, *, debug: bool = False) -> None:
        self.config, self.with_debug = config, debug
        ports = {
            "ctl": Out(engine_port(config)), "x": Out(bank_read(1, config.x_depth)), "macro": Out(signature(config)), "acc": Out(nv_acc_read(config)),
            "events": Out(events_layout(x_reads=1, nv_operations=1, nv_active=config.nv_rows, nv_conversions=config.nv_cols,
                                        nv_skipped=config.nv_cols, nv_adc_bits=config.nv_cols * config.nv_adc_bits,
                                        nv_macs=config.nv_rows * config.nv_cols, nv_programmed=CELLS_IN_A_WORD)),
        }
        if debug:
            ports["debug"] = Out(data.StructLayout({"nv_acc_sig": config.cols * config.acc_bits, "nv_codes_sig": SIGNATURE_BITS}))
        super().__init__(ports)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.front = front = EngineFront(self.config, "nv")
        m.submodules.walk = walk = NvWalk(self.config)
        m.submodules.passes = passes = NvPasses(self.config)
        m.submodules.lines = lines = LineWalk(self.config)
        wiring.connect(m, wiring.flipped(self.ctl), front.ctl)
        phase, programs, plan = Signal(Phase), Signal(), self._plan(m, front)
        is_in = {each.name: Signal(name=f"in_{each.name.lower()}") for each in Phase}
        m.d.comb += [signal.eq(phase == Phase[name]) for name, signal in is_in.items()]
        m.d.comb += programs.eq(front.command.opcode == OPCODE["nvprog"])
        for part in (walk, passes, lines):
            m.d.comb += part.regs.eq(front.regs)
        m.d.comb += [
            walk.start.eq(front.ctl.start), walk.shadow.eq(front.shadow), walk.programs.eq(programs), walk.vector.eq(is_in["LOADED"]),
            walk.rewind.eq(is_in["START"] | is_in["PROGRAM"]), passes.begin.eq(is_in["LOADED"]), passes.step.eq(lines.step & lines.last),
            lines.plan.eq(plan), lines.begin.eq(is_in["START"]), lines.step.eq(is_in["COMBINE"]), lines.index.eq(walk.index),
        ]
        read = self._reads(m, front, walk, is_in["LOAD"])
        row_done = self._programming(m, front, walk, programs, read, is_in)
        self._phases(m, front, phase, walk, passes, lines, programs, row_done)
        self._operation(m, front, walk, passes, plan, programs, read, is_in["START"])
        self._results(m, front, passes, lines, is_in)
        return m

    def _plan(self, m: Module, front: EngineFront) -> data.View:
        """Check the shadow registers; what follows from them is kept from the start on."""
        m.submodules.plan = plan = NvPlan(self.config)
        kept = Signal(plan_layout())
        m.d.comb += [plan.regs.eq(front.shadow), plan.programs.eq(front.ctl.head.command.opcode == OPCODE["nvprog"]), front.bad_config.eq(plan.bad)]
        with m.If(front.ctl.start):
            m.d.sync += kept.eq(plan.plan)
        return kept

    def _reads(self, m: Module, front: EngineFront, walk: NvWalk, visit: Value) -> Value:
        """The X bank. Returns whether this cycle reads it."""
        read = Signal()
        m.d.comb += [read.eq(visit & ~front.body_fault.valid), walk.word.eq(read), self.x.en.eq(read), self.x.addr.eq(walk.address),
                     self.events.x_reads.eq(read)]
        with m.If(visit & (walk.address >= self.config.x_depth)):
            fault(m, front.body_fault, "BANK_RANGE", front.command.pc, walk.address)
        return read

    def _programming(self, m: Module, front: EngineFront, walk: NvWalk, programs: Value, read: Value, is_in: dict[str, Signal]) -> Value:
        """Words of cells to the macro, and the time that a row takes. Returns whether a row is done with this cycle."""
        config, macro, regs = self.config, self.macro, front.regs
        row, column, left = Signal.like(regs.row0), Signal(len(macro.prog_col)), Signal(range(config.nv_prog_cycles + 1))
        word, cell = self.x.data[0], config.nv_cell_bits
        m.d.sync += [macro.prog_valid.eq(read & programs), left.eq(Mux(is_in["PROGRAM"], left - 1, config.nv_prog_cycles))]
        with m.If(front.ctl.start):
            m.d.sync += row.eq(front.shadow.row0)
        with m.Elif(is_in["LOADED"]):
            m.d.sync += row.eq(row + 1)
        with m.If(read):
            m.d.sync += column.eq(Mux(walk.first_word, (regs.line0 * config.cols) >> (CELLS_IN_A_WORD.bit_length() - 1), column + 1))
        m.d.comb += [
            macro.prog_macro.eq(regs.macro), macro.prog_row.eq(row), macro.prog_col.eq(column),
            macro.prog_data.eq(Cat(word.word_select(i, CONTAINER_BITS)[:cell] for i in range(CELLS_IN_A_WORD))),
            self.events.nv_programmed.eq(Mux(read & programs, CELLS_IN_A_WORD, 0)),
        ]
        return is_in["PROGRAM"] & (left == 1)

    def _phases(self, m: Module, front: EngineFront, phase: Signal, walk: NvWalk, passes: NvPasses, lines: LineWalk, programs: Value,
                row_done: Value) -> None:
        """What comes next, and the end of a command."""
        done = Signal()
        with m.Switch(phase):
            with m.Case(Phase.IDLE):
                m.d.comb += done.eq(front.ctl.busy)
                with m.If(front.ctl.start & (front.ctl.head.command.opcode != OPCODE["sync"])):
                    m.d.sync += phase.eq(Phase.LOAD)
            with m.Case(Phase.LOAD), m.If(walk.word & walk.last_word):
                m.d.sync += phase.eq(Phase.LOADED)
            with m.Case(Phase.LOADED):
                m.d.sync += phase.eq(Mux(programs, Phase.PROGRAM, Phase.START))
            with m.Case(Phase.START):
                m.d.sync += phase.eq(Phase.WAIT)
            with m.Case(Phase.WAIT), m.If(self.macro.done):
                m.d.sync += phase.eq(Phase.COMBINE)
            with m.Case(Phase.COMBINE), m.If(lines.last):
                m.d.sync += phase.eq(Mux(~passes.last, Phase.START, Mux(walk.last, Phase.LAST, Phase.LOAD)))
            with m.Case(Phase.LAST):
                m.d.comb += done.eq(1)
            with m.Case(Phase.PROGRAM), m.If(row_done):
                m.d.comb += done.eq(walk.last)
                m.d.sync += phase.eq(Phase.LOAD)
        with m.If(done):
            m.d.sync += phase.eq(Phase.IDLE)
        m.d.comb += [front.last.eq(done), front.body_give.valid.eq(done), front.body_give.pc.eq(front.command.pc),
                     front.body_give.mask.eq(Mux(done, front.command.signal, 0))]

    def _operation(self, m: Module, front: EngineFront, walk: NvWalk, passes: NvPasses, plan: data.View, programs: Value, read: Value,
                   start: Value) -> None:
        """Words onto the word lines; START with its digits, limit and counters."""
        macro, regs, events = self.macro, front.regs, self.events
        m.submodules.word_lines = word_lines = WordLines(self.config)
        m.submodules.resolution = resolution = Resolution(self.config)
        conversions = Signal.like(events.nv_conversions)
        m.d.sync += word_lines.load.eq(read & ~programs)
        m.d.comb += [
            word_lines.regs.eq(regs), word_lines.clear.eq(read & walk.first_word), word_lines.word.eq(self.x.data[0]),
            word_lines.width.eq(passes.width), word_lines.shift.eq(start), resolution.digits.eq(word_lines.digits), resolution.range.eq(regs.range),
            macro.start.eq(start), macro.macro.eq(regs.macro), macro.digits.eq(word_lines.digits), macro.range.eq(regs.range),
            macro.limit.eq(resolution.limit), macro.line0.eq(regs.line0), macro.lines.eq(plan.lines),
            conversions.eq(plan.lines * self.config.cols),
        ]
        with m.If(start):
            m.d.comb += [
                events.nv_operations.eq(1), events.nv_active.eq(resolution.active), events.nv_adc_bits.eq(resolution.bits * conversions),
                events.nv_conversions.eq(Mux(resolution.bits != 0, conversions, 0)), events.nv_skipped.eq(Mux(resolution.bits != 0, 0, conversions)),
                events.nv_macs.eq(Mux(passes.last, regs.rows * regs.outs, 0)),
            ]

    def _results(self, m: Module, front: EngineFront, passes: NvPasses, lines: LineWalk, is_in: dict[str, Signal]) -> None:
        """COMBINE and, a cycle later, the ACC stage."""
        m.submodules.combine = combine = Combine(self.config, debug=self.with_debug)
        m.submodules.accumulators = acc = NvAccumulators(self.config, debug=self.with_debug)
        adding = Signal(data.StructLayout({"write": 1, "bank": 1, "index": INDEX_BITS, "clear": 1}))
        wiring.connect(m, wiring.flipped(self.acc), acc.drain)
        m.d.comb += [
            combine.codes.eq(self.macro.codes), combine.begin.eq(is_in["START"]), combine.visit.eq(is_in["COMBINE"]), combine.line.eq(lines.line),
            combine.negates.eq(passes.sign), combine.shift.eq(front.regs.range + passes.place), acc.value.eq(combine.value),
            *(getattr(acc, name).eq(adding[name]) for name, _ in adding.shape()),
        ]
        m.d.sync += [
            adding.write.eq(is_in["COMBINE"] & ~lines.line.reference), adding.bank.eq(operand(front.command, "nvmac", "bank")),
            adding.index.eq(lines.line.index), adding.clear.eq(lines.line.opens & passes.first & ~front.regs.keep),
        ]
        if self.with_debug:
            m.d.comb += [self.debug.nv_acc_sig.eq(acc.acc_sig), self.debug.nv_codes_sig.eq(combine.codes_sig)]
