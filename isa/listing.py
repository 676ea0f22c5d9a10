"""The annotated listing: tensors, then every word with its address, instruction and source line."""

from __future__ import annotations

from pathlib import Path

from isa.disassembler import format_instruction
from isa.errors import RpaError
from isa.program import Program
from isa.source import FILE_LIMIT


def listing(program: Program, folder: Path | None = None) -> str:
    """Return the listing of ``program``.

    With ``folder``, the folder of the root source, the text of each source line stands beside the first word that it
    became; files that are not there any more are left out.
    """
    parts = [f"; {program.name}: {len(program.code)} words", *_tensor_lines(program), *_code_lines(program, folder)]
    return "\n".join(parts) + "\n"


def _tensor_lines(program: Program) -> list[str]:
    lines = []
    for tensor in program.tensors.values():
        shape = " x ".join(map(str, tensor.shape))
        form = "params" if tensor.kind == "params" else f"{tensor.bits} bits {'signed' if tensor.signed else 'unsigned'}"
        if tensor.layout is not None:
            strides = " x ".join(map(str, tensor.layout.strides)) or "none"
            form += f", strides {strides} words, offset {tensor.layout.offset}, fill {tensor.layout.fill:#06x}"
        lines.append(f"; {tensor.address:#010x}..{tensor.end - 1:#010x}  {tensor.role} {tensor.name}: {shape}, {form}")
    return lines


def _code_lines(program: Program, folder: Path | None) -> list[str]:
    sources: dict[str, list[str]] = {}
    labels: dict[int, list[str]] = {}
    names: dict[int, str] = {}
    for name, address in program.symbols.items():
        labels.setdefault(address, []).append(name)
        names.setdefault(address, name)
    lines, before = [], None
    for address, word in enumerate(program.code):
        lines += [f"{'':16}{name}:" for name in labels.get(address, ())]
        text = format_instruction(word, address, names) or "(illegal)"
        where = program.lines[address] if program.lines else None
        note = f"; {where[0]}:{where[1]}" if where is not None and where != before else ""
        if note and where is not None and folder is not None:
            note += _source_text(sources, folder, *where)
        lines.append(f"{address:05d}  {word:08x}  {text:<40}{note}".rstrip())
        before = where
    return lines


def _source_text(sources: dict[str, list[str]], folder: Path, name: str, number: int) -> str:
    if name not in sources:
        sources[name] = _read(folder, name)
    lines = sources[name]
    return f"  {lines[number - 1].strip()}" if 0 < number <= len(lines) else ""


def _read(folder: Path, name: str) -> list[str]:
    path = (folder / name).resolve()
    try:
        if not path.is_relative_to(folder.resolve()) or path.stat().st_size > FILE_LIMIT:
            return []
        return path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError, RpaError):
        return []
