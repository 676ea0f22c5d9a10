"""What the blocks of the RTL share: layouts of queue entries and faults, port signatures, event ports, shared modules.

Numbers of the instruction set come from :mod:`isa.table`; this file only gives them hardware shapes.

Conventions for every block:

- One clock domain, ``sync``. Nothing gates itself after a fault or at the end: the whole machine stands in an
  ``EnableInserter`` (see :mod:`hdl.top`), so a block may change state in every cycle.
- ``events``: a port whose layout is :func:`events_layout`, one field per counter that the block feeds, holding the
  increment of this cycle (0 if nothing happened). The machine adds fields of the same name and counts the sum.
- ``debug``: a port that exists only in a debug build. Its layout's fields have the names of the lockstep fields
  (:mod:`rpa.arch.lockstep`) and hold registered values.
- ``Execute(config, *, debug=False, sharing=None)`` holds streams, feeders and array; ports ``ctl`` (engine_port),
  ``a``, ``w`` (bank_read), ``acc`` (towards the drain), ``events``, ``debug``. ``Drain(config, *, debug=False)`` has
  ``ctl``, ``acc`` (the same signature, flipped), ``p`` (param_read), ``o`` (bank_write), ``events``, ``debug``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from amaranth import ClockSignal, Instance, Module, Shape, Signal, Value, unsigned
from amaranth.hdl import ValueCastable
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from isa.spec import Register
from isa.table import COUNTERS, ENGINES, FAULTS, INSTRUCTIONS, PARAM_WORDS, REGISTERS
from rpa.arch.config import MOST_INSTRUCTIONS, ArrayConfig

WORD_BITS = 16
"""Bits of a container word: one bank word, one operand of a PE."""
VALUE_BITS = 32
PC_BITS = (MOST_INSTRUCTIONS - 1).bit_length()
"""Bits that name an instruction that was fetched, of any machine."""
ENGINE_COUNT = len(ENGINES)
"""Engines of the instruction set, as lockstep records and the commit log show them; a machine can have fewer, see :func:`engine_codes`."""

ENGINE_CODE = {engine.name: engine.code for engine in ENGINES}
FAULT_CODE = {fault.name: fault.code for fault in FAULTS}
INSTRUCTION = {instruction.name: instruction for instruction in INSTRUCTIONS}
OPCODE = {instruction.name: instruction.opcode for instruction in INSTRUCTIONS}

_OPERANDS = {(i.name, f.name): f for i in INSTRUCTIONS if i.group == "engine" for f in i.fields
             if f.kind not in ("reg", "engines", "engine")}
ARGS_LO = min(field.lo for field in _OPERANDS.values())
ARGS_BITS = max(field.hi for field in _OPERANDS.values()) - ARGS_LO + 1
"""Engine operands (`bank`, `slot`, `dest`, `source`) keep their place relative to each other in `args`."""


class EntryKind(enum.Enum, shape=unsigned(2)):
    """What a queue entry asks of its engine."""

    SET = 0
    RESET = 1
    COMMAND = 2


FAULT = data.StructLayout({"valid": 1, "code": 4, "pc": 32, "aux": 32})


def engine_codes(config: ArrayConfig) -> dict[str, int]:
    """The engines that this machine has, lowest code first: all, or all but `nv`, which is the last."""
    return {name: code for name, code in ENGINE_CODE.items() if name != "nv" or config.nv_engine}


def engine_count(config: ArrayConfig) -> int:
    return len(engine_codes(config))


def command_layout(config: ArrayConfig) -> data.StructLayout:
    """A command on its way to its engine and in it."""
    return data.StructLayout({
        "opcode": 6,                     # of isa.table.INSTRUCTIONS
        "args": ARGS_BITS,               # operand bits of the word; read them with operand()
        "value": VALUE_BITS,             # ctxld: the context word; seed: rs; set and setr: the value
        "wait": engine_count(config),    # bit e: take a token that engine e gave
        "signal": engine_count(config),  # bit e: give a token to engine e at the end
        "pc": PC_BITS,
    })


def entry_layout(config: ArrayConfig) -> data.StructLayout:
    """One queue entry. `register` is the index of `isa.table.REGISTERS` for SET; RESET uses nothing else."""
    return data.StructLayout({"kind": EntryKind, "register": 8, "command": command_layout(config)})


def give_layout(config: ArrayConfig) -> data.StructLayout:
    """What an engine completes in a cycle."""
    return data.StructLayout({
        "valid": 1,                    # a command completes in this cycle (also with an empty mask)
        "mask": engine_count(config),  # 0 when not valid
        "pc": PC_BITS,
    })


def operand(command, instruction: str, field: str):
    """Bits of operand ``field`` of ``instruction`` in a view with `args` (of a command, decoded), as an unsigned value."""
    spec = _OPERANDS[instruction, field]
    return command.args[spec.lo - ARGS_LO:spec.hi - ARGS_LO + 1]


def registers_of(config: ArrayConfig, engine: str) -> dict[str, Register]:
    """The registers of one engine by their short name (`ex.n0` is `n0`), without those that can only be 0 on this machine."""
    return {r.name.partition(".")[2]: r for r in REGISTERS if r.engine == engine and r.limits(config) != (0, 0)}


def register_layout(config: ArrayConfig, engine: str) -> data.StructLayout:
    """The registers of one engine, with exactly the bits of the table."""
    return data.StructLayout({name: Shape(r.bits, signed=r.signed) for name, r in registers_of(config, engine).items()})


def log2_of(m: Module, name: str, value: Value, choices: tuple[int, ...]) -> Signal:
    """Signal ``name`` with the logarithm of ``value``, a power of two of ``choices``; 0 for anything else."""
    result = Signal(bits_for_count(max(choices).bit_length()), name=name)
    with m.Switch(value):
        for choice in choices:
            with m.Case(choice):
                m.d.comb += result.eq(choice.bit_length() - 1)
    return result


def fault(m: Module, target, cause: str, pc, aux=0) -> None:
    """Drive FAULT view ``target`` in the current context of ``m``; a later call in program order wins."""
    m.d.comb += [target.valid.eq(1), target.code.eq(FAULT_CODE[cause]), target.pc.eq(pc), target.aux.eq(aux)]


def sum_of(values: list[Value]) -> Value:
    """Sum of the values, as a tree of adders."""
    while len(values) > 1:
        values = [values[k] + values[k + 1] if k + 1 < len(values) else values[k] for k in range(0, len(values), 2)]
    return values[0]


def bits_for_count(count: int) -> int:
    """Bits of a number 0..count-1; 1 where there is a single value, so that no signal has width 0."""
    return max(1, (count - 1).bit_length())


def events_layout(**largest: int) -> data.StructLayout:
    """Layout of an `events` port: counter name -> largest increment in one cycle."""
    known = {counter.name for counter in COUNTERS}
    unknown = set(largest) - known
    if unknown:
        raise KeyError(f"no counters {sorted(unknown)} in isa.table")
    return data.StructLayout({name: unsigned(top.bit_length()) for name, top in largest.items()})


# -- ports of banks ---------------------------------------------------------------------------------------------------


def bank_read(banks: int, depth: int) -> wiring.Signature:
    """Read port over ``banks`` banks with one common address, seen from the reader.

    Synchronous: ``en`` and ``addr`` in cycle t, ``data[b]`` from t+1; it keeps its value while ``en`` is 0. A write to
    the same address in cycle t is not seen. The reader checks the range; ``addr`` has just the bits of the depth.
    """
    return wiring.Signature({"en": Out(1), "addr": Out(bits_for_count(depth)), "data": In(data.ArrayLayout(unsigned(WORD_BITS), banks))})


def bank_write(banks: int, depth: int) -> wiring.Signature:
    """Write port over ``banks`` banks with one common address and an enable, seen from the writer (O banks)."""
    return wiring.Signature({"en": Out(1), "addr": Out(bits_for_count(depth)), "data": Out(data.ArrayLayout(unsigned(WORD_BITS), banks))})


def param_read(banks: int, entries: int) -> wiring.Signature:
    """Read port of the P banks, seen from the reader: ``data[b][w]`` is word w of entry ``addr`` of bank b, from t+1."""
    entry = data.ArrayLayout(unsigned(WORD_BITS), PARAM_WORDS)
    return wiring.Signature({"en": Out(1), "addr": Out(bits_for_count(entries)), "data": In(data.ArrayLayout(entry, banks))})


# -- engine and machine -----------------------------------------------------------------------------------------------

def engine_port(config: ArrayConfig) -> wiring.Signature:
    """Port of an engine towards the machine; all of it is combinational from registered state within the cycle.

    ``head``, ``head_valid``: oldest queue entry. ``pop``: the entry leaves at the end of this cycle (SET and RESET always,
    a command when it starts). ``tokens_ok``: the registered token counts cover ``head.command.wait``; meaningless unless the
    head is a command. ``port_free``: the O banks' read port is free for the head; 1 where an engine does not need it.
    ``start``: the head starts in this cycle (the machine takes its tokens). ``busy``: registered. ``quiet``: not busy and no
    entry in the pipeline. ``give``: what completes in this cycle. ``fault``: what the engine found in this cycle (a token
    overflow is found by :mod:`hdl.tokens`). ``run``, ``waiting``: the engine's cycle counters; neither: idle.
    """
    return wiring.Signature({
        "head": In(entry_layout(config)),
        "head_valid": In(1),
        "pop": Out(1),
        "tokens_ok": In(1),
        "port_free": In(1, init=1),
        "start": Out(1),
        "busy": Out(1),
        "quiet": Out(1),
        "give": Out(give_layout(config)),
        "fault": Out(FAULT),
        "run": Out(1),
        "waiting": Out(1),
    })


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """How a converted design instantiates modules whose text stands once in the Verilog.

    Such a module has the ports of its component and ``clk``, ``rst``, ``en``; with ``en`` at 0 it keeps its state.
    Instances are out of reach of Amaranth's control inserters, hence the explicit ``enable`` and ``reset``. ``modules`` collects
    name and builder of every shared module that :func:`place` meets.
    """

    enable: Signal
    reset: Signal
    modules: dict[str, Callable[[], wiring.Component]] = field(default_factory=dict)


def place(m: Module, name: str, build: Callable[[], wiring.Component], *, module: str, sharing: Sharing | None):
    """Add one of many equal components to ``m`` and return it; its ports are used in the usual way.

    With ``sharing`` None it is an ordinary submodule (simulation in Amaranth). Otherwise an Instance of Verilog module
    ``module`` takes its place, connected to the same port signals; :mod:`hdl.verilog` converts that module once.
    """
    component = build()
    if sharing is None:
        m.submodules[name] = component
        return component
    sharing.modules.setdefault(module, build)
    component._MustUse__used = True  # only its ports are used; Amaranth would warn that it is never elaborated
    ports = {}
    for path, member, value in component.signature.flatten(component):
        signal = value.as_value() if isinstance(value, ValueCastable) else value
        ports[("i_" if member.flow is In else "o_") + "__".join(map(str, path))] = signal
    m.submodules[name] = Instance(module, i_clk=ClockSignal(), i_rst=sharing.reset, i_en=sharing.enable, **ports)
    return component
