"""The external memory port and its checks, shared by LD, ST and the machine."""

from __future__ import annotations

from amaranth import Module, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import VALUE_BITS, WORD_BITS, fault


def read_signature(config) -> wiring.Signature:
    """Read port, seen from the machine.

    A request is taken in a cycle with ``valid`` and ``ready``: ``words`` (a power of two, at most bus_words) 16-bit words from byte
    address ``address``, aligned to their size and inside memory. Responses come in order, one cycle of ``response_valid``
    each, never in the cycle of their request; they cannot be held off. Words beyond the request's are ignored.
    With ``ready`` always 1 and every response exactly mem_latency cycles after its request, cycles are those of the manual.
    """
    return wiring.Signature({
        "valid": Out(1), "ready": In(1), "address": Out(VALUE_BITS), "words": Out(config.bus_words.bit_length()),
        "response_valid": In(1), "response_data": In(data.ArrayLayout(unsigned(WORD_BITS), config.bus_words)),
    })


def write_signature(config) -> wiring.Signature:
    """Write port, seen from the machine: the words of ``data`` named by ``mask`` (from bit 0 on) go to byte address ``address``,
    aligned to their size, at the end of a cycle with ``valid`` and ``ready``. There is no answer."""
    return wiring.Signature({
        "valid": Out(1), "ready": In(1), "address": Out(VALUE_BITS), "mask": Out(config.bus_words),
        "data": Out(data.ArrayLayout(unsigned(WORD_BITS), config.bus_words)),
    })


def check_access(m: Module, config, target, pc: Value, address: Value, unit: Value) -> None:
    """Drive FAULT view ``target``, in the current context of ``m``, with MEM_RANGE or MISALIGNED of an access of ``unit`` words."""
    end = Signal(VALUE_BITS + 1, name="access_end")
    size = unit << 1
    m.d.comb += end.eq(address + size)
    with m.If(end > config.mem_bytes):
        fault(m, target, "MEM_RANGE", pc, address)
    with m.Elif((address[:len(size)] & (size - 1)) != 0):
        fault(m, target, "MISALIGNED", pc, address)

