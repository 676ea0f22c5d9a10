"""The top level: instruction memory, host registers, start and stop around the machine.

The host port has word addresses (one 32-bit word each). With the top address bit set the rest is an address of instruction
memory (write only); otherwise it is one of :data:`HOST_REGISTERS`. A write happens at the end of the cycle with
``host_write``; ``host_read_data`` holds in a cycle what stood at ``host_address`` at the start of the cycle before.
Instruction memory, code words and limit are written while the machine stands still.

Writing 1 to `control` starts: one cycle of reset, and in the next cycle the machine executes its first instruction. Everything
begins as at power-on except the contents of memories (banks, contexts, accumulators, PE registers stay as they were).
The machine stands still after the cycle in which it is done or finds a fault; nothing changes then but the host's reads.
"""

from __future__ import annotations

from amaranth import Cat, EnableInserter, Module, Mux, ResetInserter, ResetSignal, Signal
from amaranth.hdl import ValueCastable
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.common import PC_BITS, VALUE_BITS, Sharing, bits_for_count
from hdl.machine import LOG, Machine
from hdl.macro import signature as macro_signature
from hdl.memport import read_signature, write_signature
from hdl.twin import Twin
from isa.table import CORE_REGISTERS, COUNTER_BITS
from rpa.arch.lockstep import record_fields

HOST_REGISTERS = {
    "control": 0,     # write 1: start
    "status": 1,      # bit 0 running, bit 1 done, bits 11..8 fault code (0: none)
    "fault_pc": 2,
    "fault_aux": 3,
    "code_words": 4,  # instructions in memory; a fetch at or beyond them faults
    "limit_low": 5,   # cycle limit, 0: none
    "limit_high": 6,
    "registers": 16,  # r0 .. r15
    "counters": 128,  # counter i: low word at 128 + 2*i, high 16 bits at 129 + 2*i
}
REGISTER_BITS = 8
MACROS = ("twin", "pins")
"""What can stand behind the engine NV."""
HOST_ADDRESS_BITS = PC_BITS + 1


def log_ports() -> dict[str, int]:
    """Debug outputs of the commit log: port name -> bits. They are combinational: valid in the cycle they tell about."""
    retire = {f"log_retire_{name}": field.width for name, field in LOG["retire"].shape}
    return retire | {f"log_{name}": field.width for name, field in LOG if name != "retire"}


def flat_ports(prefix: str, signature: wiring.Signature) -> dict:
    """The members of a port as ports of the top level, named `<prefix>_<member>` (Verilog names without double underscores)."""
    return {f"{prefix}_{name}": member for name, member in signature.members.items()}


class Top(wiring.Component):
    """The machine with its ports; ``shared``: repeated modules are instances of one text (see :mod:`hdl.verilog`).

    Ports: the host port above, ``running``, ``mem_read_*`` and ``mem_write_*`` (:mod:`hdl.memport`), both idle while the machine stands
    still; a start must wait until no read response is outstanding. Debug build: one registered output per field of
    :mod:`rpa.arch.lockstep`, of that name, elements packed from bit 0 on, and the outputs of :func:`log_ports`. In cycle k of a run
    (``running`` is 1) log outputs belong to cycle k; registered outputs show the record of cycle k in the cycle after.

    ``macro``: what stands behind the engine NV, on a machine that has it: "twin" is the exact circuit, "pins" brings the interface of
    :mod:`hdl.macro` out as ports ``nv_*``, whose strobes are 0 while the machine stands still.
    """

    def __init__(self, config, *, debug: bool = False, shared: bool = False, macro: str = "twin") -> None:
        self.config, self.with_debug, self.macro = config, debug, macro if config.nv_engine else None
        ports = {
            "host_address": In(HOST_ADDRESS_BITS), "host_write": In(1), "host_write_data": In(VALUE_BITS), "host_read_data": Out(VALUE_BITS),
            "running": Out(1), **flat_ports("mem_read", read_signature(config)), **flat_ports("mem_write", write_signature(config)),
        }
        if self.macro == "pins":
            ports |= flat_ports("nv", macro_signature(config))
        if debug:
            ports |= {field.name: Out(field.count * field.bits) for field in record_fields(config)}
            ports |= {name: Out(bits) for name, bits in log_ports().items()}
        super().__init__(ports)
        self.sharing = Sharing(enable=self.running, reset=Signal(name="shared_reset")) if shared else None

    def elaborate(self, platform) -> Module:
        m = Module()
        starting = Signal()
        if self.sharing:
            m.d.comb += self.sharing.reset.eq(starting | ResetSignal())
        machine = Machine(self.config, debug=self.with_debug, sharing=self.sharing)
        m.submodules.machine = ResetInserter(starting)(EnableInserter(self.running)(machine))
        self._instruction_memory(m, machine)
        self._run_state(m, machine, starting)
        self._host_reads(m, machine)
        for prefix, port in (("mem_read", machine.read), ("mem_write", machine.write)):
            self._bring_out(m, prefix, port, strobes=("valid",))
        if self.macro == "pins":
            self._bring_out(m, "nv", machine.macro, strobes=("start", "prog_valid"))
        elif self.macro == "twin":
            twin = Twin(self.config, self.sharing)
            m.submodules.twin = ResetInserter(starting)(EnableInserter(self.running)(twin))
            wiring.connect(m, machine.macro, twin.port)
        if self.with_debug:
            self._debug(m, machine)
        return m

    def _register(self, name: str):
        is_register = ~self.host_address[-1]
        return is_register & (self.host_address[:REGISTER_BITS] == HOST_REGISTERS[name])

    def _instruction_memory(self, m: Module, machine: Machine) -> None:
        m.submodules.imem = imem = memory.Memory(shape=VALUE_BITS, depth=self.config.imem_words, init=[])
        write, read = imem.write_port(), imem.read_port()
        bits = bits_for_count(self.config.imem_words)
        m.d.comb += [
            write.en.eq(self.host_write & self.host_address[-1]), write.addr.eq(self.host_address[:bits]), write.data.eq(self.host_write_data),
            read.addr.eq(Mux(self.running, machine.next_pc[:bits], 0)), machine.word.eq(read.data),
        ]

    def _run_state(self, m: Module, machine: Machine, starting: Signal) -> None:
        code_words, limit = Signal(PC_BITS + 1), Signal(COUNTER_BITS)
        m.d.comb += [machine.code_words.eq(code_words), machine.limit.eq(limit)]
        m.d.sync += starting.eq(self.host_write & self._register("control") & self.host_write_data[0] & ~self.running & ~starting)
        with m.If(starting):
            m.d.sync += self.running.eq(1)
        with m.Elif(machine.done | machine.fault.valid):
            m.d.sync += self.running.eq(0)
        with m.If(self.host_write):
            with m.If(self._register("code_words")):
                m.d.sync += code_words.eq(self.host_write_data)
            with m.If(self._register("limit_low")):
                m.d.sync += limit[:VALUE_BITS].eq(self.host_write_data)
            with m.If(self._register("limit_high")):
                m.d.sync += limit[VALUE_BITS:].eq(self.host_write_data)

    def _host_reads(self, m: Module, machine: Machine) -> None:
        status, value = Signal(VALUE_BITS), Signal(VALUE_BITS)
        address = self.host_address
        m.d.comb += [
            status.eq(Cat(self.running, machine.finished) | (machine.latched.code << 8)),
            machine.select_counter.eq(~self.running), machine.select.eq((address - HOST_REGISTERS["counters"])[1:REGISTER_BITS]),
        ]
        with m.If(address[:REGISTER_BITS] >= HOST_REGISTERS["counters"]):
            m.d.comb += value.eq(Mux(address[0], machine.selected[VALUE_BITS:], machine.selected[:VALUE_BITS]))
        with m.Else(), m.Switch(address[:REGISTER_BITS]):
            sources = {"status": status, "fault_pc": machine.latched.pc, "fault_aux": machine.latched.aux, "code_words": machine.code_words,
                       "limit_low": machine.limit[:VALUE_BITS], "limit_high": machine.limit[VALUE_BITS:]}
            for name, source in sources.items():
                with m.Case(HOST_REGISTERS[name]):
                    m.d.comb += value.eq(source)
            for i in range(CORE_REGISTERS):
                with m.Case(HOST_REGISTERS["registers"] + i):
                    m.d.comb += value.eq(machine.registers[i])
        m.d.sync += self.host_read_data.eq(value)

    def _bring_out(self, m: Module, prefix: str, port: wiring.PureInterface, strobes: tuple[str, ...]) -> None:
        """Connect ``port`` with the top's ports. A machine that stands still must not repeat its last request."""
        for name, member in port.signature.members.items():
            outer, inner = getattr(self, f"{prefix}_{name}"), getattr(port, name)
            if member.flow is In:
                m.d.comb += inner.eq(outer)
            else:
                m.d.comb += outer.eq(inner & self.running if name in strobes else inner)

    def _debug(self, m: Module, machine: Machine) -> None:
        for field in record_fields(self.config):
            m.d.comb += getattr(self, field.name).eq(machine.debug[field.name])
        for name, value in [(f"log_retire_{name}", machine.log.retire[name]) for name, _ in LOG["retire"].shape] \
                + [(f"log_{name}", machine.log[name]) for name, _ in LOG if name != "retire"]:
            m.d.comb += getattr(self, name).eq(value.as_value() if isinstance(value, ValueCastable) else value)
