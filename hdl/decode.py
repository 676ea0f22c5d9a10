"""Instruction decoder and every legality check of the core, made from :mod:`isa.table` by code."""

from amaranth import Cat, Const, Module, Mux, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import ARGS_BITS, ARGS_LO, ENGINE_CODE, INSTRUCTION, VALUE_BITS, engine_codes, engine_count
from isa.spec import OPCODE_HI, OPCODE_LO, WORD_BITS, Field, Instruction, Register
from isa.table import (
    CONTEXT_FIELDS,
    CONTEXT_RESERVED,
    COUNTERS,
    DESTS,
    INSTRUCTIONS,
    PE_CONDS,
    PE_DESTS,
    PE_OPS,
    PE_ROUTES,
    PE_SOURCES,
    REGISTERS,
    SOURCES,
)
from rpa.arch.config import ArrayConfig

_WAIT = INSTRUCTION["sync"].field("wait")
_SIGNAL = INSTRUCTION["sync"].field("signal")
_CFG = INSTRUCTION["set"].field("reg")
_ENGINE = INSTRUCTION["reset"].field("engine")


def decoded_layout(config: ArrayConfig) -> data.StructLayout:
    """What the core knows of an instruction."""
    engines = engine_count(config)
    return data.StructLayout({
        "opcode": OPCODE_HI - OPCODE_LO + 1,
        "rd": 4,
        "rs": 4,                  # first source register of this instruction
        "rt": 4,                  # second source register
        "immediate": VALUE_BITS,  # imm, shamt or count, extended as the table says
        "offset": VALUE_BITS,     # sign-extended
        "register": _CFG.bits,
        "counter": 8,
        "engines": engines,       # fence: the engines; an instruction for an engine: that engine, one-hot
        "args": ARGS_BITS,
        "wait": engines,
        "signal": engines,
        "legal": 1,               # known opcode, no reserved bit, known register, counter, engine, dest and source
    })


def bits_of(word: Value, field: Field) -> Value:
    """The field's bits of an instruction or context word, signed where the table says so."""
    raw = word[field.lo:field.hi + 1]
    return raw.as_signed() if field.signed else raw


def one_of(value: Value, codes) -> Value:
    """1 if ``value`` is one of the codes."""
    codes = sorted(set(codes))
    if len(codes) == 1 << len(value):
        return Const(1)
    return value.matches(*codes)


class Decoder(wiring.Component):
    """Combinational: ``word`` to ``decoded``. On a machine without NOR-flash macros what names them is not legal."""

    def __init__(self, config: ArrayConfig) -> None:
        self.engines = engine_codes(config)
        known = [r for r in REGISTERS if r.engine in self.engines]
        self.registers = {engine: [r.index for r in known if r.engine == engine] for engine in self.engines}
        self.codes = {"cfg": [r.index for r in known], "counter": [c.index for c in COUNTERS], "source": [s.code for s in SOURCES],
                      "dest": [d.code for d in DESTS if d.name != "x" or "nv" in self.engines], "engine": self.engines.values()}
        """Field kind -> the codes that are legal."""
        super().__init__({"word": In(WORD_BITS), "decoded": Out(decoded_layout(config))})

    def elaborate(self, platform) -> Module:
        m = Module()
        word, out = self.word, self.decoded
        m.d.comb += [
            out.opcode.eq(word[OPCODE_LO:OPCODE_HI + 1]),
            out.args.eq(word[ARGS_LO:ARGS_LO + ARGS_BITS]),
            out.wait.eq(bits_of(word, _WAIT)), out.signal.eq(bits_of(word, _SIGNAL)), out.register.eq(bits_of(word, _CFG)),
        ]
        with m.Switch(out.opcode):
            for instruction in INSTRUCTIONS:
                if instruction.engine not in (None, *self.engines):
                    continue
                with m.Case(instruction.opcode):
                    m.d.comb += self._fields(instruction)
                    m.d.comb += out.legal.eq(self._legal(instruction))
        return m

    def _fields(self, instruction: Instruction) -> list:
        out, statements = self.decoded, []
        by_name = {"rd": out.rd, "rs": out.rs, "rt": out.rt, "imm": out.immediate, "shamt": out.immediate, "count": out.immediate,
                   "offset": out.offset, "counter": out.counter, "engines": out.engines}
        for field in instruction.fields:
            if field.name in by_name:
                statements.append(by_name[field.name].eq(bits_of(self.word, field)))
        if instruction.engine:
            statements.append(out.engines.eq(1 << ENGINE_CODE[instruction.engine]))
        elif any(field.name == "engine" for field in instruction.fields):
            statements.append(out.engines.eq(1 << bits_of(self.word, _ENGINE)))
        elif any(field.kind == "cfg" for field in instruction.fields):
            statements.append(out.engines.eq(Cat(*(one_of(bits_of(self.word, _CFG), indices) for indices in self.registers.values()))))
        return statements

    def _legal(self, instruction: Instruction) -> Value:
        legal = (self.word & instruction.reserved_mask) == 0
        for field in instruction.fields:
            if field.kind in self.codes:
                legal &= one_of(bits_of(self.word, field), self.codes[field.kind])
            elif field.kind == "engines":
                legal &= bits_of(self.word, field)[len(self.engines):] == 0
        return legal


class ValueCheck(wiring.Component):
    """Combinational range check of `set` and `setr`: ``ok`` if register index ``register`` takes signed ``value``.

    The limits are `Register.limits` and `choices` for this configuration. Registers with equal rules share a comparator. Of a register
    of an engine that the machine does not have ``ok`` means nothing.
    A 32-bit unsigned register takes any value.
    """

    def __init__(self, config) -> None:
        self.config = config
        super().__init__({"register": In(_CFG.bits), "value": In(VALUE_BITS), "ok": Out(1)})

    def rule(self, register: Register) -> tuple:
        """(low, high, choices) with choices cut to the range; equal rules are one comparator."""
        if register.bits == VALUE_BITS:
            return ("any",)
        low, high = register.limits(self.config)
        return (low, high, tuple(c for c in register.choices if low <= c <= high) if register.choices else None)

    def elaborate(self, platform) -> Module:
        m = Module()
        members: dict[tuple, list[int]] = {}
        for register in REGISTERS:
            if register.engine in engine_codes(self.config):
                members.setdefault(self.rule(register), []).append(register.index)
        passes = []
        for rule, indices in members.items():
            if rule == ("any",):
                accepted = Const(1)
            elif rule[2]:
                accepted = one_of(self.value, rule[2])
            else:
                accepted = self._within(rule[0], rule[1])
            passes.append(one_of(self.register, indices) & accepted)
        m.d.comb += self.ok.eq(Cat(*passes).any())
        return m

    def _within(self, low: int, high: int) -> Value:
        value = self.value.as_signed()
        if low in (0, 1) and high & (high + 1) == 0:  # all of n unsigned bits, with or without 0: no adder needed
            fits = self.value[high.bit_length():] == 0
            return fits & (self.value != 0) if low else fits
        return (value >= low) & (value <= high)


class ContextCheck(wiring.Component):
    """Combinational check of `ctxld`: ``slot_ok``, and ``word_ok`` for a context word."""

    def __init__(self, config) -> None:
        self.slots = config.ctx_slots
        super().__init__({"slot": In(INSTRUCTION["ctxld"].field("slot").bits), "word": In(WORD_BITS), "slot_ok": Out(1), "word_ok": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        fields = {field.name: bits_of(self.word, field) for field in CONTEXT_FIELDS}
        has_result = one_of(fields["op"], (op.code for op in PE_OPS if op.writes == "result"))
        none = next(dest.code for dest in PE_DESTS if dest.name == "none")
        m.d.comb += [
            self.slot_ok.eq(self.slot < self.slots),
            self.word_ok.eq(
                ((self.word & CONTEXT_RESERVED) == 0) & one_of(fields["op"], (op.code for op in PE_OPS))
                & one_of(fields["x"], (s.code for s in PE_SOURCES)) & one_of(fields["y"], (s.code for s in PE_SOURCES))
                & one_of(fields["route"], (r.code for r in PE_ROUTES)) & one_of(fields["cond"], (c.code for c in PE_CONDS))
                & Mux(has_result, one_of(fields["dst"], (d.code for d in PE_DESTS)), fields["dst"] == none)),
        ]
        return m


