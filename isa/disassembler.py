"""The disassembler: a `Program` to a source that assembles to the same words and the same data."""

from __future__ import annotations

import re

from isa.checks import Jump, bad_jumps
from isa.encoding import (
    BY_OPCODE,
    NAMED,
    PE_OP_BY_NAME,
    REGISTER_BY_INDEX,
    decode_context,
    engine_names,
    illegal_context,
    illegal_instruction,
    needs_macros,
)
from isa.errors import ContentError
from isa.machine import PREDEFINED
from isa.program import TENSOR_ALIGN, Program, Segment, Tensor
from isa.source import FILE_LIMIT
from isa.spec import OPCODE_LO, Field, Instruction
from isa.symbols import CORE_NAMES
from isa.table import PARAM_WORDS, ROUNDINGS
from isa.tensors import background, pack_param, pack_tensor, unpack_param, unpack_tensor

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_RESERVED = frozenset(CORE_NAMES) | {name.upper() for name in PREDEFINED} | {rounding.name.upper() for rounding in ROUNDINGS}
_VALUES_PER_LINE = 16


def format_instruction(word: int, address: int = 0, labels: dict[int, str] | None = None) -> str | None:
    """Return one word as assembly; None if it is no instruction. A target without a label is written as its address."""
    if illegal_instruction(word) is not None:
        return None
    instruction = BY_OPCODE[word >> OPCODE_LO]
    operands, clauses = [], ""
    for field in instruction.fields:
        value = field.extract(word)
        if field.name in ("wait", "signal"):
            if value:
                clauses += f" {field.name}({', '.join(engine_names(value))})"
        else:
            operands.append(_operand(instruction, field, value, address, labels or {}))
    return f"{instruction.name} {', '.join(operands)}".rstrip() + clauses


def _operand(instruction: Instruction, field: Field, value: int, address: int, labels: dict[int, str]) -> str:
    if field.kind == "reg":
        return f"r{value}"
    if field.kind == "offset":
        return labels.get(address + value, str(address + value))
    if field.kind == "engines":
        return ", ".join(engine_names(value))
    if field.kind in NAMED:
        return NAMED[field.kind][value]
    if instruction.name == "lui":
        return f"{value:#x}"
    return str(value)


def format_context(word: int) -> str:
    """Return a legal context word as it stands in a .context block, for example ``add r0, #1 -> acc, route result, if p``."""
    values = decode_context(word)
    op = PE_OP_BY_NAME[str(values["op"])]
    sources = [f"#{values['imm']}" if values[key] == "imm" else str(values[key]) for key in ("x", "y")[:op.operands]]
    text = f"{op.name} {', '.join(sources)}".rstrip()
    if values["dst"] != "none":
        text += f" -> {values['dst']}"
    if values["route"] != "hold":
        text += f", route {values['route']}"
    if values["cond"] != "always":
        text += f", if {values['cond']}"
    return text


class _Flow:
    """The jumps of a program, and those among them that the assembler refuses; these are written as raw words."""

    def __init__(self, program: Program) -> None:
        jumps = [jump for address, word in enumerate(program.code) if (jump := _jump(address, word)) is not None]
        self.targets = {jump.address: jump.target for jump in jumps}
        self.bad = bad_jumps(jumps, len(program.code))


def _jump(address: int, word: int) -> Jump | None:
    if illegal_instruction(word) is not None:
        return None
    instruction = BY_OPCODE[word >> OPCODE_LO]
    offset = next((field for field in instruction.fields if field.kind == "offset"), None)
    if offset is None:
        return None
    call = instruction.name == "jal" and instruction.field("rd").extract(word) != 0
    kind = "loop" if instruction.name in ("loop", "loopi") else "call" if call else "branch"
    return Jump(address, address + offset.extract(word), kind)


def _labels(program: Program, flow: _Flow) -> dict[int, str]:
    """Name every target: the program's own label where it can be written, else L and the address."""
    taken = set(program.tensors)
    labels: dict[int, str] = {}
    for name, address in program.symbols.items():
        if address not in labels and _NAME.fullmatch(name) and name not in _RESERVED | taken:
            labels[address] = name
            taken.add(name)
    for address, target in flow.targets.items():
        if address not in flow.bad and target not in labels:
            name = f"L{target}"
            while name in taken:
                name += "_"
            labels[target] = name
            taken.add(name)
    return labels


def _refused(program: Program, word: int) -> bool:
    """True if the assembler would not take these operands: the machine faults on them."""
    instruction = BY_OPCODE[word >> OPCODE_LO]
    if program.config["nv_macros"] == 0 and needs_macros(word):
        return True
    if instruction.name == "set":
        register = REGISTER_BY_INDEX[instruction.field("reg").extract(word)]
        value = instruction.field("imm").extract(word)
        config = _Sizes(program.config)
        return not (register.bits == 32 or register.accepts(value, config))
    if instruction.name == "ctxld":
        return instruction.field("slot").extract(word) >= program.config["ctx_slots"]
    return instruction.name == "fence" and instruction.field("engines").extract(word) == 0


class _Sizes:
    """The program's configuration with attributes, as `Register.limits` reads it."""

    def __init__(self, config: dict[str, int]) -> None:
        self.__dict__.update(config)
        self.nv_engine = int(config["nv_macros"] > 0)


def _code_lines(program: Program) -> list[str]:
    flow = _Flow(program)
    labels = _labels(program, flow)
    lines: list[str] = []
    known: dict[int, int] = {}
    for address, word in enumerate(program.code):
        if address in labels:
            lines.append(f"{labels[address]}:")
            known = {}
        text = format_instruction(word, address, labels)
        if text is None or address in flow.bad or _refused(program, word):
            note = f"    ; {text}" if text else ""
            lines.append(f"    .word {word:#010x}{note}")
        else:
            lines.append(f"    {_unsigned(word, text)}{_context_note(word, known)}")
        _track(word, known)
    if len(program.code) in labels:
        lines.append(f"{labels[len(program.code)]}:")
    return lines


def _unsigned(word: int, text: str) -> str:
    """Write a negative `set` of an unsigned 32-bit register as the assembler takes it."""
    instruction = BY_OPCODE[word >> OPCODE_LO]
    if instruction.name == "set":
        register = REGISTER_BY_INDEX[instruction.field("reg").extract(word)]
        value = instruction.field("imm").extract(word)
        if register.bits == 32 and not register.signed and value < 0:
            return f"set {register.name}, {value + (1 << 32):#x}"
    return text


def _track(word: int, known: dict[int, int]) -> None:
    """Follow the constants that `li` leaves in registers, within straight code."""
    if illegal_instruction(word) is not None:
        known.clear()
        return
    instruction = BY_OPCODE[word >> OPCODE_LO]
    values = {field.name: field.extract(word) for field in instruction.fields}
    if instruction.name == "addi" and values["rs"] == 0:
        known[values["rd"]] = values["imm"] & 0xFFFFFFFF
    elif instruction.name == "lui":
        known[values["rd"]] = values["imm"] << 16
    elif instruction.name == "ori" and values["rs"] in known:
        known[values["rd"]] = known[values["rs"]] | values["imm"]
    elif "rd" in values:
        known.pop(values["rd"], None)


def _context_note(word: int, known: dict[int, int]) -> str:
    instruction = BY_OPCODE[word >> OPCODE_LO]
    if instruction.name != "ctxld":
        return ""
    value = known.get(instruction.field("rs").extract(word))
    return "" if value is None or illegal_context(value) is not None else f"    ; {format_context(value)}"


# -- data ---------------------------------------------------------------------------------------------------------------


def _wrapped(values: list[str], per_line: int) -> str:
    lines = [", ".join(values[start:start + per_line]) for start in range(0, len(values), per_line)]
    return lines[0] if len(lines) == 1 else "\n    " + ",\n    ".join(lines)


def _tensor_lines(tensor: Tensor, segment: Segment | None) -> str | None:
    """Return the declaration of a tensor; None if the bytes of its segment are not what any declaration makes."""
    shape = ", ".join(map(str, tensor.shape))
    if tensor.kind == "params":
        head = f".params {tensor.name} shape({shape})"
        payload = None if segment is None else _params_text(tensor, segment.payload)
    else:
        head = f".{tensor.role} {tensor.name} shape({shape}) bits {tensor.bits} {'signed' if tensor.signed else 'unsigned'}"
        head += _layout_text(tensor)
        if segment is not None and tensor.placement.fill and segment.payload == background(tensor):
            segment = None
        payload = None if segment is None else _elements_text(tensor, segment.payload)
    if segment is None:
        return head
    return None if payload is None else f"{head} = {payload}"


def _layout_text(tensor: Tensor) -> str:
    layout = tensor.layout
    if layout is None:
        return ""
    strides = f" strides({', '.join(map(str, layout.strides))})" if layout.strides else ""
    return f"{strides} offset {layout.offset} words {layout.words} fill {layout.fill:#06x}"


def _elements_text(tensor: Tensor, payload: bytes) -> str | None:
    values = unpack_tensor(payload, tensor)
    if tensor.role != "data" or pack_tensor(values, tensor) != payload:
        return None
    return _wrapped([str(value) for value in values], _VALUES_PER_LINE)


def _params_text(tensor: Tensor, payload: bytes) -> str | None:
    entries = [payload[start:start + 2 * PARAM_WORDS] for start in range(0, len(payload), 2 * PARAM_WORDS)]
    rows = [unpack_param(entry) for entry in entries]
    if any(row[1] >= 1 << 31 or row[2] >= 1 << 7 or pack_param(*row) != entry for row, entry in zip(rows, entries, strict=True)):
        return None
    rows = rows[:1] if len(set(rows)) == 1 else rows
    return _wrapped([str(value) for row in rows for value in row], 3)


def _declared(program: Program) -> list[str] | None:
    """Return the declarations of all tensors; None if they do not give the same addresses and data."""
    segments = {segment.address: segment for segment in program.segments}
    lines, end = [], 0
    for tensor in program.tensors.values():
        segment = segments.pop(tensor.address, None)
        start = -(-end // TENSOR_ALIGN) * TENSOR_ALIGN
        has_data = segment is not None and len(segment.payload) == tensor.size_bytes
        role_fits = tensor.role == ("data" if segment is not None else "input") or tensor.kind == "tensor"
        if tensor.address != start or not _NAME.fullmatch(tensor.name) or tensor.name in _RESERVED or not role_fits:
            return None
        if segment is not None and not has_data:
            return None
        text = _tensor_lines(tensor, segment)
        if text is None:
            return None
        lines.append(text)
        end = tensor.end
    return None if segments else lines


def _flat(program: Program) -> list[str]:
    """Return the data image as one tensor from address 0; its declarations cannot say what the program has."""
    if not program.segments:
        return []
    end = -(-program.segments[-1].end // 2) * 2
    image = bytearray(end)
    for segment in program.segments:
        image[segment.address:segment.end] = segment.payload
    words = [str(int.from_bytes(image[at:at + 2], "little")) for at in range(0, end, 2)]
    return [f".data image shape({len(words)}) bits 16 unsigned = {_wrapped(words, _VALUES_PER_LINE)}"] if words else []


def disassemble(program: Program) -> str:
    """Return a source that assembles, for the same machine, to the same code and the same initial memory.

    Labels and tensors are reconstructed; words that the assembler refuses (illegal, or certain to fault) become `.word`.
    Raises ContentError if the data image is too large for one source.
    """
    if program.segments and program.segments[-1].end > FILE_LIMIT:
        raise ContentError(f"the data ends at byte {program.segments[-1].end}, a source can hold {FILE_LIMIT} at most")
    declared = _declared(program)
    data = _flat(program) if declared is None else declared
    lines = [f"; {program.name}: {len(program.code)} words", *data, *([""] if data else []), *_code_lines(program)]
    text = "\n".join(lines) + "\n"
    if len(text) > FILE_LIMIT:
        raise ContentError(f"the disassembly has {len(text)} characters, a source can hold {FILE_LIMIT}; put the data into .npy files")
    return text
