"""The instruction set of RPA, once: instructions, PE contexts, engine registers, counters, faults.

The meaning of every entry, cycle by cycle, is in `docs/design.md`; `docs/isa.md` is generated from this table.
"""

from __future__ import annotations

from isa.spec import Code, Counter, Fault, Field, Instruction, PeOp, Register

ISA_VERSION = 2
CORE_REGISTERS = 16
LOOP_DEPTH = 4
DIMS = 6
"""Loops of a `run`."""
NV_DIMS = 3
"""Loops over the vectors of an `nvmac`, and over the words of a vector."""
ACC_INDEX_COUNT = 16
"""Accumulators in one bank of a PE; a PE has two banks."""
ACC_BANKS = 2
PE_REGISTERS = 8
FEEDER_SLOTS = 8
TOKEN_MAX = 15
PARAM_WORDS = 8
"""16-bit words of one requantization parameter entry: bias[0:3], multiplier[3:5], shift[5], two reserved."""

ENGINES = (
    Code(name="ld", code=0, doc="load: external memory, a constant, or O banks into A, W and P banks"),
    Code(name="ex", code=1, doc="execute: streams, feeders and PE array"),
    Code(name="dr", code=2, doc="drain: accumulators through requantization into O banks"),
    Code(name="st", code=3, doc="store: O banks into external memory"),
    Code(name="nv", code=4, doc="NOR-flash macros: X bank through the macros into the NV accumulators; only where `nv_macros` is not 0"),
)
DESTS = (
    Code(name="a", code=0, doc="A banks, one per PE row"),
    Code(name="w", code=1, doc="W banks, one per PE column"),
    Code(name="p", code=2, doc="P banks, requantization parameters, one per PE column"),
    Code(name="x", code=3, doc="X bank, input of the NOR-flash macros, one; only where `nv_macros` is not 0"),
)
SOURCES = (
    Code(name="mem", code=0, doc="external memory"),
    Code(name="fill", code=1, doc="the constant ld.fill, no external access"),
    Code(name="o", code=2, doc="O banks: the lines of the last drain, transposed as by `st`"),
)
ROUNDINGS = (
    Code(name="half_up", code=0, doc="nearest, ties towards +infinity"),
    Code(name="half_even", code=1, doc="nearest, ties to even"),
    Code(name="floor", code=2, doc="towards -infinity"),
    Code(name="gemmlowp", code=3, doc="doubling high multiply, nearest with ties towards +infinity, then divide by "
         "2^(s-31), nearest with ties away from zero (TFLite); s is 31..62"),
    Code(name="stochastic", code=4, doc="up with the probability of the fraction, from the column's LFSR"),
)


def _reg(name: str, hi: int, doc: str) -> Field:
    return Field(name=name, hi=hi, lo=hi - 3, kind="reg", doc=doc)


_RD = _reg("rd", 25, "destination register")
_RS_B = _reg("rs", 25, "first source register")
_RT_B = _reg("rt", 21, "second source register")
_RS = _reg("rs", 21, "source register")
_RT = _reg("rt", 17, "second source register")
_IMM = Field(name="imm", hi=17, lo=0, kind="imm", signed=True, doc="immediate, sign-extended to 32 bits")
_SHAMT = Field(name="shamt", hi=4, lo=0, kind="uimm", doc="shift amount in bits")
_UIMM16 = Field(name="imm", hi=15, lo=0, kind="uimm", doc="immediate, zero-extended")
_OFFSET = Field(name="offset", hi=17, lo=0, kind="offset", signed=True, doc="target minus this instruction, in words")
_WAIT = Field(name="wait", hi=25, lo=21, kind="engines", doc="take one token from each of these engines before starting")
_SIGNAL = Field(name="signal", hi=20, lo=16, kind="engines", doc="give one token to each of these engines when finished")
_CFG = Field(name="reg", hi=25, lo=18, kind="cfg", doc="engine register")
_ENGINE = Field(name="engine", hi=15, lo=13, kind="engine", doc="engine")
_BANK = Field(name="bank", hi=15, lo=15, kind="bank", doc="accumulator bank, 0 or 1")
_TOKEN_FAULTS = ("TOKEN_OVERFLOW", "DEADLOCK")


def _alu(name: str, opcode: int, doc: str) -> Instruction:
    return Instruction(name=name, opcode=opcode, fields=(_RD, _RS, _RT), group="arithmetic", doc=doc, cycles="1",
                       example=f"{name} r1, r2, r3")


def _alui(name: str, opcode: int, doc: str, imm: Field, value: int) -> Instruction:
    return Instruction(name=name, opcode=opcode, fields=(_RD, _RS, imm), group="arithmetic", doc=doc, cycles="1",
                       example=f"{name} r1, r2, {value}")


def _branch(name: str, opcode: int, doc: str) -> Instruction:
    return Instruction(name=name, opcode=opcode, fields=(_RS_B, _RT_B, _OFFSET), group="control", cycles="1",
                       doc=f"Go to the label if {doc}.", faults=("FETCH",), example=f"{name} r1, r2, label")


INSTRUCTIONS = (
    Instruction(name="halt", opcode=0x00, group="control", cycles="1",
                doc="Stop the core. The machine is done when every queue is empty and every engine has finished.",
                faults=("DEADLOCK",), example="halt"),
    _alu("add", 0x01, "rd = rs + rt, modulo 2^32."),
    _alu("sub", 0x02, "rd = rs - rt, modulo 2^32."),
    _alu("mul", 0x03, "rd = low 32 bits of rs * rt."),
    _alu("and", 0x04, "rd = rs & rt, bitwise."),
    _alu("or", 0x05, "rd = rs | rt, bitwise."),
    _alu("xor", 0x06, "rd = rs ^ rt, bitwise."),
    _alu("sll", 0x07, "rd = rs << rt[4:0]."),
    _alu("srl", 0x08, "rd = rs >> rt[4:0], zeros shifted in."),
    _alu("sra", 0x09, "rd = rs >> rt[4:0], sign shifted in."),
    _alu("slt", 0x0A, "rd = 1 if rs < rt (signed), else 0."),
    _alui("addi", 0x0B, "rd = rs + imm, modulo 2^32.", _IMM, -1),
    _alui("andi", 0x0C, "rd = rs & imm, imm zero-extended.", _UIMM16, 255),
    _alui("ori", 0x0D, "rd = rs | imm, imm zero-extended.", _UIMM16, 255),
    _alui("slli", 0x0E, "rd = rs << shamt.", _SHAMT, 4),
    _alui("srli", 0x0F, "rd = rs >> shamt, zeros shifted in.", _SHAMT, 4),
    _alui("srai", 0x10, "rd = rs >> shamt, sign shifted in.", _SHAMT, 4),
    Instruction(name="lui", opcode=0x11, fields=(_RD, _UIMM16), group="arithmetic", cycles="1",
                doc="rd = imm << 16.", example="lui r1, 0x1000"),
    _branch("beq", 0x12, "rs == rt"),
    _branch("bne", 0x13, "rs != rt"),
    _branch("blt", 0x14, "rs < rt, signed"),
    _branch("bge", 0x15, "rs >= rt, signed"),
    _branch("bltu", 0x16, "rs < rt, unsigned"),
    _branch("bgeu", 0x17, "rs >= rt, unsigned"),
    Instruction(name="jal", opcode=0x18, fields=(_RD, _OFFSET), group="control", cycles="1",
                doc="rd = address of the next instruction; go to the label.", faults=("FETCH",), example="jal r0, label"),
    Instruction(name="jalr", opcode=0x19, fields=(_RD, _RS, _IMM), group="control", cycles="1",
                doc="rd = address of the next instruction; go to rs + imm (in instructions).", faults=("FETCH",),
                example="jalr r0, r14, 0"),
    Instruction(name="loop", opcode=0x1A, fields=(_RS_B, _OFFSET), group="control", cycles="1",
                doc="Run the instructions up to the label rs times without branch cost; 0 times skips them. The label "
                "is the instruction after the body; the body has at least one instruction.",
                faults=("LOOP_DEPTH",), example="loop r1, label"),
    Instruction(name="loopi", opcode=0x1B,
                fields=(Field(name="count", hi=25, lo=12, kind="uimm", doc="how many times; 0 skips the body"),
                        Field(name="offset", hi=11, lo=0, kind="offset", doc="end of the body minus this instruction")),
                group="control", cycles="1", doc="`loop` with a constant count.", faults=("LOOP_DEPTH",),
                example="loopi 8, label"),
    Instruction(name="set", opcode=0x1C,
                fields=(_CFG, Field(name="imm", hi=15, lo=0, kind="imm", signed=True, doc="value, sign-extended")),
                group="configuration", cycles="1 in the core, plus waiting while the queue is full; 1 at the queue's head",
                doc="Write an engine register. It takes effect for the commands issued after it, not for those before.",
                faults=("ILLEGAL_CONFIG",), example="set ex.n0, 3"),
    Instruction(name="setr", opcode=0x1D, fields=(_CFG, _RT), group="configuration",
                cycles="1 in the core, plus waiting while the queue is full; 1 at the queue's head",
                doc="`set` with the 32-bit value of a core register.", faults=("ILLEGAL_CONFIG",),
                example="setr ld.addr, r1"),
    Instruction(name="reset", opcode=0x1E, fields=(_ENGINE,), group="configuration",
                cycles="1 in the core, plus waiting while the queue is full; 1 at the queue's head",
                doc="Give every register of one engine its reset value, in queue order.", example="reset ex"),
    Instruction(name="ld", opcode=0x20,
                fields=(Field(name="dest", hi=15, lo=14, kind="dest", doc="banks written"),
                        Field(name="source", hi=13, lo=12, kind="source", doc="where words come from"), _WAIT, _SIGNAL),
                group="engine", engine="ld",
                cycles="rows*units + 1 + latency (mem: mem_latency, fill: 0, o: 1)",
                doc="Copy ld.rows rows of ld.units units into the banks whose window takes the row.",
                faults=("ILLEGAL_CONFIG", "MEM_RANGE", "MISALIGNED", "BANK_RANGE", *_TOKEN_FAULTS),
                example="ld a, mem signal(ex)"),
    Instruction(name="run", opcode=0x21, fields=(_BANK, _WAIT, _SIGNAL), group="engine", engine="ex",
                cycles="n0*n1*n2*n3*n4*n5 + 1; results are complete 3 cycles later",
                doc="Execute one step per point of the loop nest, accumulating in `bank`.",
                faults=("ILLEGAL_CONFIG", "BANK_RANGE", *_TOKEN_FAULTS), example="run 0 wait(ld,dr) signal(dr)"),
    Instruction(name="ctxld", opcode=0x22,
                fields=(Field(name="slot", hi=15, lo=10, kind="slot", doc="context slot"), _reg("rs", 9, "context word"),
                        _WAIT, _SIGNAL),
                group="engine", engine="ex", cycles="2",
                doc="Write the context word in rs into `slot` of the PEs in rows ex.rmask and columns ex.cmask.",
                faults=("ILLEGAL_CONTEXT", *_TOKEN_FAULTS), example="ctxld 0, r1"),
    Instruction(name="drain", opcode=0x23, fields=(_BANK, _WAIT, _SIGNAL), group="engine", engine="dr",
                cycles="rows*accs*lanes + 1; results are complete 5 cycles later",
                doc="Requantize accumulators of `bank`, a PE row at a time, and pack them into the O banks.",
                faults=("ILLEGAL_CONFIG", "BANK_RANGE", "RQ_SHIFT", "ACC_CONFLICT", *_TOKEN_FAULTS),
                example="drain 0 wait(ex) signal(ex,st)"),
    Instruction(name="seed", opcode=0x24, fields=(_reg("rt", 15, "second source register"), _WAIT, _SIGNAL), group="engine", engine="dr", cycles="2",
                doc="Seed the LFSR of column c with rt ^ (0x9E3779B9 * (c + 1) mod 2^32), or 1 where that is 0.",
                faults=_TOKEN_FAULTS, example="seed r1"),
    Instruction(name="st", opcode=0x25, fields=(_WAIT, _SIGNAL), group="engine", engine="st",
                cycles="rows*xs*ws + 2",
                doc="Store O banks to external memory, transposing words of st.bits wide elements across columns.",
                faults=("ILLEGAL_CONFIG", "MEM_RANGE", "MISALIGNED", "BANK_RANGE", *_TOKEN_FAULTS),
                example="st wait(dr) signal(dr)"),
    Instruction(name="sync", opcode=0x26, fields=(_ENGINE, _WAIT, _SIGNAL), group="engine", cycles="2",
                doc="Do nothing in that engine but wait for and give tokens, in order.", faults=_TOKEN_FAULTS,
                example="sync ld wait(ex)"),
    Instruction(name="nvprog", opcode=0x2B, fields=(_WAIT, _SIGNAL), group="engine", engine="nv", cycles="rows*(k0 + 1 + nv_prog_cycles) + 1",
                doc="Program nv.rows rows of a NOR-flash macro with cells from the X bank.",
                faults=("ILLEGAL_CONFIG", "BANK_RANGE", *_TOKEN_FAULTS), example="nvprog wait(ld) signal(ld)"),
    Instruction(name="nvmac", opcode=0x2C, fields=(_BANK, _WAIT, _SIGNAL), group="engine", engine="nv",
                cycles="n0*n1*n2*(k0*k1*k2 + 1 + passes*(1 + settling + conversions + combining)) + 2; design.md, section 15",
                doc="Multiply vectors of the X bank by the weights in a NOR-flash macro, accumulating in NV `bank`.",
                faults=("ILLEGAL_CONFIG", "BANK_RANGE", *_TOKEN_FAULTS), example="nvmac 0 wait(ld) signal(dr)"),
    Instruction(name="fence", opcode=0x28,
                fields=(Field(name="engines", hi=25, lo=21, kind="engines", doc="engines to wait for"),),
                group="control", cycles="1, plus waiting", faults=("DEADLOCK",),
                doc="Wait until these engines have empty queues and have finished everything.", example="fence ld,ex,dr,st"),
    Instruction(name="rdctr", opcode=0x29,
                fields=(_RD, Field(name="counter", hi=21, lo=14, kind="counter", doc="counter")), group="control",
                cycles="1", doc="rd = low 32 bits of a counter, as it stood at the start of this cycle.",
                example="rdctr r1, cycles"),
    Instruction(name="rdctrh", opcode=0x2A,
                fields=(_RD, Field(name="counter", hi=21, lo=14, kind="counter", doc="counter")), group="control",
                cycles="1", doc="rd = bits 47..32 of a counter.", example="rdctrh r1, cycles"),
)

# -- PE contexts ------------------------------------------------------------------------------------------------------

CONTEXT_FIELDS = (
    Field(name="op", hi=4, lo=0, kind="op", doc="operation"),
    Field(name="x", hi=8, lo=5, kind="src", doc="first operand"),
    Field(name="y", hi=12, lo=9, kind="src", doc="second operand"),
    Field(name="dst", hi=16, lo=13, kind="dst", doc="where a result goes"),
    Field(name="route", hi=19, lo=17, kind="route", doc="what the output register takes"),
    Field(name="cond", hi=21, lo=20, kind="cond", doc="when the step takes effect"),
    Field(name="imm", hi=29, lo=22, kind="imm", signed=True, doc="immediate of every lane, truncated to the lane"),
)
CONTEXT_RESERVED = 0xC0000000

PE_OPS = (
    PeOp(name="nop", code=0, operands=0, writes="none", doc="nothing; the route still works"),
    PeOp(name="mac", code=1, operands=2, writes="acc", doc="acc += sum over lanes of x*y"),
    PeOp(name="macl", code=2, operands=2, writes="acc", doc="each lane of acc += x*y of that lane"),
    PeOp(name="mov", code=3, operands=1, writes="result", doc="x"),
    PeOp(name="add", code=4, operands=2, writes="result", doc="x + y per lane, wrapping"),
    PeOp(name="sub", code=5, operands=2, writes="result", doc="x - y per lane, wrapping"),
    PeOp(name="mul", code=6, operands=2, writes="result", doc="low half of x * y per lane"),
    PeOp(name="min", code=7, operands=2, writes="result", doc="smaller of x and y per lane (ex.asigned)"),
    PeOp(name="max", code=8, operands=2, writes="result", doc="larger of x and y per lane (ex.asigned)"),
    PeOp(name="abs", code=9, operands=1, writes="result", doc="|x| per lane, x taken as signed; the minimum stays"),
    PeOp(name="and", code=10, operands=2, writes="result", doc="x & y"),
    PeOp(name="or", code=11, operands=2, writes="result", doc="x | y"),
    PeOp(name="xor", code=12, operands=2, writes="result", doc="x ^ y"),
    PeOp(name="shl", code=13, operands=2, writes="result", doc="16-bit x << y[3:0]"),
    PeOp(name="shr", code=14, operands=2, writes="result", doc="16-bit x >> y[3:0], zeros shifted in"),
    PeOp(name="sra", code=15, operands=2, writes="result", doc="16-bit x >> y[3:0], sign shifted in"),
    PeOp(name="sel", code=16, operands=2, writes="result", doc="x if the flag is set, else y"),
    PeOp(name="ceq", code=17, operands=2, writes="flag", doc="flag = x == y, 16 bits"),
    PeOp(name="clt", code=18, operands=2, writes="flag", doc="flag = x < y, 16 bits (ex.asigned)"),
)
PE_SOURCES = (
    Code(name="a", code=0, doc="A bus: the word of this PE row"),
    Code(name="w", code=1, doc="W bus: the word of this PE column"),
    Code(name="north", code=2, doc="output register of the PE one row up; 0 at the edge"),
    Code(name="east", code=3, doc="output register of the PE one column right; 0 at the edge"),
    Code(name="south", code=4, doc="output register of the PE one row down; 0 at the edge"),
    Code(name="west", code=5, doc="output register of the PE one column left; 0 at the edge"),
    Code(name="acc", code=6, doc="low 16 bits of the accumulator at this step's index; a step sees what steps at "
         "least two before it wrote"),
    Code(name="imm", code=7, doc="the context's immediate, in every lane"),
    *(Code(name=f"r{i}", code=8 + i, doc=f"PE register {i}") for i in range(PE_REGISTERS)),
)
PE_DESTS = (
    Code(name="none", code=0, doc="nowhere (the route may still take the result)"),
    Code(name="acc", code=1, doc="accumulator: each lane extended (ex.asigned) and stored"),
    Code(name="acca", code=2, doc="accumulator: each lane extended (ex.asigned) and added, or stored on a first step"),
    *(Code(name=f"r{i}", code=8 + i, doc=f"PE register {i}") for i in range(PE_REGISTERS)),
)
PE_ROUTES = (
    Code(name="hold", code=0, doc="output register keeps its value"),
    Code(name="result", code=1, doc="the operation's result"),
    Code(name="x", code=2, doc="the first operand"),
    Code(name="a", code=3, doc="the A bus"),
    Code(name="north", code=4, doc="north neighbour's output register"),
    Code(name="east", code=5, doc="east neighbour's output register"),
    Code(name="south", code=6, doc="south neighbour's output register"),
    Code(name="west", code=7, doc="west neighbour's output register"),
)
PE_CONDS = (
    Code(name="always", code=0, doc="always"),
    Code(name="p", code=1, doc="if the flag is set"),
    Code(name="np", code=2, doc="if the flag is clear"),
)

# -- engine registers -------------------------------------------------------------------------------------------------

WIDTHS = (2, 4, 8, 16)
_POW2 = (1, 2, 4, 8, 16, 32)


def _dims(prefix: str, first: int, engine: str, dims: int, **kwargs) -> tuple[Register, ...]:
    doc = kwargs.pop("doc")
    return tuple(Register(name=f"{engine}.{prefix}{d}", index=first + d, engine=engine, doc=doc.format(d=d), **kwargs)
                 for d in range(dims))


REGISTERS = (
    Register(name="ld.addr", index=0, engine="ld", bits=32, unit="bytes", doc="source address of row 0, unit 0"),
    Register(name="ld.rows", index=1, engine="ld", bits=16, reset=1, minimum=1, unit="rows", doc="rows to copy"),
    Register(name="ld.units", index=2, engine="ld", bits=16, reset=1, minimum=1, unit="units", doc="units in a row"),
    Register(name="ld.unit", index=3, engine="ld", bits=6, reset=1, choices=_POW2, maximum="bus_words", unit="words",
             doc="source words moved per cycle, a power of two"),
    Register(name="ld.sstride", index=4, engine="ld", bits=32, signed=True, unit="bytes", doc="source step per row"),
    Register(name="ld.sstep", index=5, engine="ld", bits=32, signed=True, unit="bytes", doc="source step per unit"),
    Register(name="ld.j0", index=6, engine="ld", bits=16, signed=True, unit="rows", doc="row index of the first row, for windows"),
    Register(name="ld.base", index=7, engine="ld", bits=16, unit="words", doc="bank address of the first row, unit 0, in a bank with q = 0"),
    Register(name="ld.pitch", index=8, engine="ld", bits=16, signed=True, unit="words", doc="bank address step per row"),
    Register(name="ld.dstep", index=9, engine="ld", bits=16, signed=True, unit="words", doc="bank address step per unit"),
    Register(name="ld.wstep", index=10, engine="ld", bits=5, unit="rows", doc="window step S: bank q takes rows q*S .. q*S+K-1"),
    Register(name="ld.wlen", index=11, engine="ld", bits=16, reset=1, minimum=1, unit="rows", doc="window length K"),
    Register(name="ld.bstep", index=12, engine="ld", bits=16, signed=True, unit="words",
             doc="subtracted q times from the bank address (S*pitch where a window starts at the same address in every bank)"),
    Register(name="ld.group", index=13, engine="ld", bits=3, maximum=5, unit="log2 banks", doc="bank b has q = b >> group and lane b mod 2^group"),
    Register(name="ld.sel", index=14, engine="ld", bits=6, reset=63, doc="lane that takes the row; 63: every lane"),
    Register(name="ld.pack", index=15, engine="ld", bits=5, reset=16, choices=WIDTHS, unit="bits",
             doc="keep the low `pack` bits of each source word and pack 16/pack of them into a bank word"),
    Register(name="ld.fill", index=16, engine="ld", bits=16, signed=False, minimum=-32768, doc="word written by source `fill`, modulo 2^16"),
    Register(name="ld.obits", index=17, engine="ld", bits=5, reset=16, choices=WIDTHS, unit="bits", doc="transposition width of source `o`"),
    Register(name="ld.obase", index=18, engine="ld", bits=16, unit="words", doc="O address of row 0, source `o`"),
    Register(name="ld.opitch", index=19, engine="ld", bits=16, signed=True, unit="words", doc="O address step per row, source `o`"),

    *_dims("n", 32, "ex", DIMS, bits=12, reset=1, minimum=1, doc="steps of loop {d} (0 is innermost)"),
    *_dims("as", 38, "ex", DIMS, bits=16, signed=True, unit="words", doc="A address step of loop {d}"),
    *_dims("ws", 44, "ex", DIMS, bits=16, signed=True, unit="words", doc="W address step of loop {d}"),
    *_dims("cs", 50, "ex", DIMS, bits=5, signed=True, doc="accumulator index step of loop {d}, modulo 16"),
    *_dims("ss", 56, "ex", DIMS, bits=7, signed=True, doc="context slot step of loop {d}, modulo ctx_slots"),
    Register(name="ex.abase", index=62, engine="ex", bits=16, unit="words", doc="A address of the first step"),
    Register(name="ex.wbase", index=63, engine="ex", bits=16, unit="words", doc="W address of the first step"),
    Register(name="ex.cbase", index=64, engine="ex", bits=4, doc="accumulator index of the first step"),
    Register(name="ex.sbase", index=65, engine="ex", bits=6, doc="context slot of the first step, modulo ctx_slots"),
    Register(name="ex.abits", index=66, engine="ex", bits=5, reset=16, choices=WIDTHS, unit="bits", doc="activation width"),
    Register(name="ex.wbits", index=67, engine="ex", bits=5, reset=16, choices=WIDTHS, unit="bits", doc="weight width"),
    Register(name="ex.cbits", index=68, engine="ex", bits=5, reset=16, choices=WIDTHS, unit="bits",
             doc="compute width, at least both operand widths; 16/cbits lanes a step"),
    Register(name="ex.asigned", index=69, engine="ex", bits=1, reset=1, doc="activations are signed"),
    Register(name="ex.wsigned", index=70, engine="ex", bits=1, reset=1, doc="weights are signed"),
    Register(name="ex.aslice", index=71, engine="ex", bits=3, reset=7, doc="loop whose index selects the slice of an A word; 6, 7: slice 0"),
    Register(name="ex.wslice", index=72, engine="ex", bits=3, reset=7, doc="loop whose index selects the slice of a W word; 6, 7: slice 0"),
    Register(name="ex.aen", index=73, engine="ex", bits=1, reset=1, doc="the A stream is used; if not, the A bus is 0"),
    Register(name="ex.wen", index=74, engine="ex", bits=1, reset=1, doc="the W stream is used; if not, the W bus is 0"),
    Register(name="ex.au0", index=75, engine="ex", bits=3, doc="A feeder slot step of loop 0, modulo 8"),
    Register(name="ex.au1", index=76, engine="ex", bits=3, doc="A feeder slot step of loop 1, modulo 8"),
    Register(name="ex.aslide", index=77, engine="ex", bits=4, maximum=8, unit="words",
             doc="sliding window: while loop 1 is past 0, only the last `aslide` steps of loop 0 read; 0: no window"),
    Register(name="ex.ahold", index=78, engine="ex", bits=6, doc="loops (bit d: loop d) whose index must be 0 for A to be read"),
    Register(name="ex.wu0", index=79, engine="ex", bits=3, doc="W feeder slot step of loop 0, modulo 8"),
    Register(name="ex.wu1", index=80, engine="ex", bits=3, doc="W feeder slot step of loop 1, modulo 8"),
    Register(name="ex.wslide", index=81, engine="ex", bits=4, maximum=8, unit="words", doc="as ex.aslide, for W"),
    Register(name="ex.whold", index=82, engine="ex", bits=6, doc="loops (bit d: loop d) whose index must be 0 for W to be read"),
    Register(name="ex.red", index=83, engine="ex", bits=6,
             doc="reduction loops (bit d: loop d): a step with all of them at 0 starts its accumulator from 0"),
    Register(name="ex.keep", index=84, engine="ex", bits=1, doc="no step starts from 0; accumulate onto what is there"),
    Register(name="ex.rows", index=85, engine="ex", bits=6, reset=63, minimum=1, maximum=63,
             doc="PE rows that work, from row 0; more than there are: all"),
    Register(name="ex.cols", index=86, engine="ex", bits=6, reset=63, minimum=1, maximum=63,
             doc="PE columns that work, from column 0; more than there are: all"),
    Register(name="ex.rmask", index=87, engine="ex", bits=32, signed=True, reset=-1, doc="rows that `ctxld` writes (bit r: row r)"),
    Register(name="ex.cmask", index=88, engine="ex", bits=32, signed=True, reset=-1, doc="columns that `ctxld` writes (bit c: column c)"),

    Register(name="dr.row0", index=96, engine="dr", bits=5, doc="first PE row"),
    Register(name="dr.rows", index=97, engine="dr", bits=6, reset=1, minimum=1, doc="PE rows"),
    Register(name="dr.acc0", index=98, engine="dr", bits=4, doc="first accumulator"),
    Register(name="dr.accs", index=99, engine="dr", bits=5, reset=1, minimum=1, maximum=16, doc="accumulators of each PE, acc0 first"),
    Register(name="dr.lanes", index=100, engine="dr", bits=4, reset=1, choices=(1, 2, 4, 8), doc="lanes in an accumulator, lane 0 first"),
    Register(name="dr.base", index=101, engine="dr", bits=16, unit="words", doc="O address of the first row's first word"),
    Register(name="dr.pitch", index=102, engine="dr", bits=16, signed=True, unit="words", doc="O address step per PE row"),
    Register(name="dr.param", index=103, engine="dr", bits=12, unit="entries", doc="first parameter entry"),
    Register(name="dr.pacc", index=104, engine="dr", bits=4, unit="entries", doc="parameter step per accumulator"),
    Register(name="dr.plane", index=105, engine="dr", bits=4, unit="entries", doc="parameter step per lane"),
    Register(name="dr.pre", index=106, engine="dr", bits=5, unit="bits", doc="right shift before the multiplication, rounding half up"),
    Register(name="dr.round", index=107, engine="dr", bits=3, maximum=4,
             doc="rounding mode: 0 half_up, 1 half_even, 2 floor, 3 gemmlowp, 4 stochastic"),
    Register(name="dr.zp", index=108, engine="dr", bits=17, signed=True, doc="zero point added after rounding"),
    Register(name="dr.lo", index=109, engine="dr", bits=17, signed=True, reset=-32768, doc="lower limit of the result"),
    Register(name="dr.hi", index=110, engine="dr", bits=17, signed=True, reset=32767, doc="upper limit of the result"),
    Register(name="dr.bits", index=111, engine="dr", bits=5, reset=16, choices=WIDTHS, unit="bits", doc="output width"),
    Register(name="dr.raw", index=112, engine="dr", bits=1,
             doc="no scaling: each accumulator gives two words, the low and high half of the 32-bit value"),
    Register(name="dr.nv", index=113, engine="dr", bits=1, maximum="nv_engine",
             doc="the NV accumulators instead of the PEs' (row0 is 0 and rows 1)"),

    Register(name="st.addr", index=128, engine="st", bits=32, unit="bytes", doc="destination address of row 0, step 0"),
    Register(name="st.rows", index=129, engine="st", bits=16, reset=1, minimum=1, unit="rows", doc="rows to store"),
    Register(name="st.xs", index=130, engine="st", bits=16, reset=1, minimum=1, unit="steps", doc="steps in a row"),
    Register(name="st.ws", index=131, engine="st", bits=8, reset=1, minimum=1, unit="units", doc="units in a step"),
    Register(name="st.xstep", index=132, engine="st", bits=4, reset=1, choices=(1, 2, 4, 8), unit="elements",
             doc="elements of an O word that one step covers, at most 16/bits"),
    Register(name="st.unit", index=133, engine="st", bits=6, reset=1, choices=_POW2, maximum="bus_words", unit="words",
             doc="words moved per cycle, a power of two"),
    Register(name="st.base", index=134, engine="st", bits=16, unit="words", doc="O address of row 0"),
    Register(name="st.pitch", index=135, engine="st", bits=16, signed=True, unit="words", doc="O address step per row"),
    Register(name="st.bits", index=136, engine="st", bits=5, reset=16, choices=WIDTHS, unit="bits",
             doc="element width for the transposition across columns; 16: words go out as they are"),
    Register(name="st.col0", index=137, engine="st", bits=6, unit="words", doc="first word of the transposed line"),
    Register(name="st.rstride", index=138, engine="st", bits=32, signed=True, unit="bytes", doc="destination step per row"),
    Register(name="st.xstride", index=139, engine="st", bits=32, signed=True, unit="bytes", doc="destination step per step"),
    Register(name="st.wstride", index=140, engine="st", bits=32, signed=True, unit="bytes", doc="destination step per unit"),

    Register(name="nv.macro", index=160, engine="nv", bits=6, doc="macro"),
    Register(name="nv.row0", index=161, engine="nv", bits=10, doc="first word line"),
    Register(name="nv.rows", index=162, engine="nv", bits=11, reset=1, minimum=1, maximum="nv_rows", doc="word lines, one activation each"),
    Register(name="nv.line0", index=163, engine="nv", bits=10, unit="lines", doc="first line; a line is `cols` bit lines"),
    Register(name="nv.outs", index=164, engine="nv", bits=11, reset=1, minimum=1, maximum="nv_cols", doc="outputs, `cols` of them in a group"),
    Register(name="nv.slices", index=165, engine="nv", bits=5, reset=1, minimum=1, maximum=16, doc="cells of one weight, lowest digit first"),
    Register(name="nv.encoding", index=166, engine="nv", bits=2, maximum=2, doc="weights: 0 plain, 1 differential, 2 with a reference line"),
    Register(name="nv.ebits", index=167, engine="nv", bits=5, reset=16, choices=WIDTHS, unit="bits", doc="container of an activation in the X bank"),
    Register(name="nv.abits", index=168, engine="nv", bits=5, reset=16, minimum=1, maximum=16, unit="bits", doc="activation width, at most nv.ebits"),
    Register(name="nv.asigned", index=169, engine="nv", bits=1, reset=1, doc="activations are signed"),
    Register(name="nv.range", index=170, engine="nv", bits=4, unit="log2", doc="one step of a conversion: 2^range times digit times cell code"),
    Register(name="nv.keep", index=171, engine="nv", bits=1, doc="no vector starts from 0; accumulate onto what is there"),
    Register(name="nv.xbase", index=172, engine="nv", bits=16, unit="words", doc="X address of the first vector (`nvprog`: row)"),
    *_dims("k", 173, "nv", NV_DIMS, bits=12, reset=1, minimum=1, doc="words of a vector in loop {d} (`nvprog`: nv.k0 words of a row)"),
    *_dims("xk", 176, "nv", NV_DIMS, bits=16, signed=True, unit="words", doc="X address step within a vector, loop {d}"),
    *_dims("n", 179, "nv", NV_DIMS, bits=12, reset=1, minimum=1, doc="vectors of loop {d} (0 is innermost)"),
    *_dims("xv", 182, "nv", NV_DIMS, bits=16, signed=True, unit="words", doc="X address step per vector, loop {d} (`nvprog`: nv.xv0 per row)"),
    *_dims("cv", 185, "nv", NV_DIMS, bits=5, signed=True, doc="accumulator index step per vector, loop {d}, modulo 16"),
    Register(name="nv.cg", index=188, engine="nv", bits=5, signed=True, doc="accumulator index step per group of outputs, modulo 16"),
    Register(name="nv.cbase", index=189, engine="nv", bits=4, doc="accumulator index of the first vector, group 0"),
)

# -- counters ---------------------------------------------------------------------------------------------------------


def _engine_counters(first: int) -> tuple[Counter, ...]:
    kinds = (("run", "cycles in which {e} starts or works on a command"),
             ("wait", "cycles in which {e}'s next command waits for a token or for the O banks' read port"),
             ("idle", "cycles in which {e} does neither"),
             ("full", "cycles in which the core waits because {e}'s queue is full"))
    return tuple(Counter(name=f"{engine.name}_{kind}", index=first + 4 * engine.code + k, unit="cycles",
                         doc=doc.format(e=engine.name.upper()))
                 for engine in ENGINES for k, (kind, doc) in enumerate(kinds))


COUNTERS = (
    Counter(name="cycles", index=0, unit="cycles", doc="clock cycles from the first instruction to the end, both included"),
    Counter(name="instructions", index=1, unit="instructions", doc="instructions that the core completed"),
    Counter(name="fence", index=2, unit="cycles", doc="cycles in which the core waits at a `fence`"),
    *_engine_counters(3),
    Counter(name="a_reads", index=23, unit="words", doc="A bank reads: ex.rows per step that reads A"),
    Counter(name="w_reads", index=24, unit="words", doc="W bank reads: ex.cols per step that reads W"),
    Counter(name="a_hits", index=25, unit="words", doc="A words taken from the feeder instead: ex.rows per such step"),
    Counter(name="w_hits", index=26, unit="words", doc="W words taken from the feeder instead: ex.cols per such step"),
    Counter(name="a_writes", index=27, unit="words", doc="words written into A banks, multicast counted per bank"),
    Counter(name="w_writes", index=28, unit="words", doc="words written into W banks, multicast counted per bank"),
    Counter(name="p_writes", index=29, unit="words", doc="words written into P banks, multicast counted per bank"),
    Counter(name="o_writes", index=30, unit="words", doc="words written into O banks: cols per drained word"),
    Counter(name="o_reads", index=31, unit="words", doc="words read from O banks: cols per line"),
    Counter(name="ext_read_words", index=32, unit="words", doc="16-bit words read from external memory"),
    Counter(name="ext_write_words", index=33, unit="words", doc="16-bit words written to external memory"),
    Counter(name="mac_slots", index=34, unit="MAC", doc="rows*cols*lanes per step of a `run`"),
    Counter(name="macs", index=35, unit="MAC", doc="useful MACs: ex.rows*ex.cols*lanes per step whose slot holds a mac or macl"),
    Counter(name="rq_elements", index=36, unit="elements", doc="elements requantized: cols per drain step"),
    Counter(name="rq_saturations", index=37, unit="elements", doc="of these, elements changed by saturation to 32 bits or by lo/hi"),
    Counter(name="x_writes", index=38, unit="words", doc="words written into the X bank"),
    Counter(name="x_reads", index=39, unit="words", doc="words read from the X bank"),
    Counter(name="nv_operations", index=40, unit="operations", doc="operations of a NOR-flash macro: one per vector and pass"),
    Counter(name="nv_active", index=41, unit="word lines", doc="word lines driven with a digit other than 0, summed over operations"),
    Counter(name="nv_conversions", index=42, unit="conversions", doc="conversions made: every bit line of every line of an operation"),
    Counter(name="nv_skipped", index=43, unit="conversions", doc="conversions skipped because no code but 0 is possible"),
    Counter(name="nv_adc_bits", index=44, unit="bits", doc="bits that conversions decided, from the highest that can be set"),
    Counter(name="nv_macs", index=45, unit="MAC", doc="useful MACs: nv.rows * nv.outs per vector"),
    Counter(name="nv_programmed", index=46, unit="cells", doc="cells programmed"),
)
COUNTER_BITS = 48

# -- faults -----------------------------------------------------------------------------------------------------------

FAULTS = (
    Fault(name="ILLEGAL_OPCODE", code=1, aux="the instruction word", doc="unknown opcode, register or counter, or a reserved bit set",
          hint="assemble the program with this version of rpa"),
    Fault(name="ILLEGAL_CONTEXT", code=2, aux="the context word, or the slot if it does not exist",
          doc="`ctxld` of a word or slot that the PEs do not have",
          hint="check the .context block and ArrayConfig.ctx_slots"),
    Fault(name="ILLEGAL_CONFIG", code=3, aux="set, setr: the value; a command: the engine's number",
          doc="a register value outside its range, or registers that contradict each other", hint="see `rpa isa explain` of the register"),
    Fault(name="FETCH", code=4, aux="the address", doc="instruction fetch outside the program", hint="end the program with `halt`"),
    Fault(name="LOOP_DEPTH", code=5, aux="0", doc="more than 4 nested loops", hint="use a branch for the outermost loop"),
    Fault(name="MEM_RANGE", code=6, aux="the byte address", doc="access outside external memory",
          hint="check addr, strides and rows against mem_bytes"),
    Fault(name="MISALIGNED", code=7, aux="the address", doc="an address that is not a multiple of the unit",
          hint="align the data or use a smaller unit"),
    Fault(name="BANK_RANGE", code=8, aux="the bank address", doc="access outside an A, W, P or O bank",
          hint="make the tile smaller or the bank deeper"),
    Fault(name="RQ_SHIFT", code=9, aux="the shift", doc="requantization shift outside 1..62 (gemmlowp: 31..62)",
          hint="load the P banks before the drain"),
    Fault(name="ACC_CONFLICT", code=10, aux="the bank", doc="a drain reads an accumulator bank in the cycle a run writes it",
          hint="drain the other bank, or let the drain wait(ex)"),
    Fault(name="TOKEN_OVERFLOW", code=11, aux="16*from + to", doc="more than 15 tokens between two engines", hint="balance signal and wait"),
    Fault(name="DEADLOCK", code=12, aux="bit e: engine e waits", doc="every engine waits for a token and nothing can give one",
          hint="a signal is missing or a wait is one too many"),
    Fault(name="CYCLE_LIMIT", code=13, aux="the limit", doc="the cycle limit was reached", hint="raise max_cycles, or look for an endless loop"),
)
