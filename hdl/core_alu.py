"""Arithmetic of the control core."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common import OPCODE, VALUE_BITS

_RESULTS = {
    ("add", "addi"): lambda a, b: a + b,
    ("sub",): lambda a, b: a - b,
    ("mul",): lambda a, b: a * b,
    ("and", "andi"): lambda a, b: a & b,
    ("or", "ori"): lambda a, b: a | b,
    ("xor",): lambda a, b: a ^ b,
    ("sll", "slli"): lambda a, b: a << b[:5],
    ("srl", "srli"): lambda a, b: a >> b[:5],
    ("sra", "srai"): lambda a, b: a.as_signed() >> b[:5],
    ("slt",): lambda a, b: a.as_signed() < b.as_signed(),
    ("lui",): lambda a, b: b[:16] << 16,
}
_BRANCHES = {
    "beq": lambda a, b: a == b,
    "bne": lambda a, b: a != b,
    "blt": lambda a, b: a.as_signed() < b.as_signed(),
    "bge": lambda a, b: a.as_signed() >= b.as_signed(),
    "bltu": lambda a, b: a < b,
    "bgeu": lambda a, b: a >= b,
}


class CoreAlu(wiring.Component):
    """Combinational. ``result`` of an arithmetic opcode, modulo 2^32; ``writes`` if it is one; ``taken`` for a branch."""

    opcode: In(6)
    a: In(VALUE_BITS)
    b: In(VALUE_BITS)
    result: Out(VALUE_BITS)
    writes: Out(1)
    taken: Out(1)

    def elaborate(self, platform) -> Module:
        m = Module()
        with m.Switch(self.opcode):
            for names, operation in _RESULTS.items():
                with m.Case(*(OPCODE[name] for name in names)):
                    m.d.comb += [self.result.eq(operation(self.a, self.b)), self.writes.eq(1)]
            for name, condition in _BRANCHES.items():
                with m.Case(OPCODE[name]):
                    m.d.comb += self.taken.eq(condition(self.a, self.b))
        return m
