"""From commands and buffers to a program: tensors, code and data image, and the files of them."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import isa
from isa.encoding import CODES
from isa.files import write_atomic
from isa.layout import Layout as Rows
from isa.machine import CONFIG_FIELDS, PREDEFINED, config_dict
from isa.program import Program, Segment, Tensor
from isa.symbols import CORE_NAMES
from isa.table import ROUNDINGS
from rpa.arch.config import MOST_INSTRUCTIONS, ArrayConfig
from rpa.compile.commands import Nest
from rpa.compile.draws import seed_lines
from rpa.compile.emit import emit, place_table
from rpa.compile.errors import CodeTooLong, CompileError
from rpa.compile.layout import Layout
from rpa.net.integer import IntNet

MOST_MEMORY = 1 << 31
"""Bytes that a configuration can have."""
WEIGHTS = "weights"
"""The tensor that all constants are."""
PROGRAM_SUFFIX = ".rpb"
_RESERVED = frozenset(CORE_NAMES) | {name.upper() for name in PREDEFINED} | {rounding.name.upper() for rounding in ROUNDINGS}


@dataclass(frozen=True)
class Linked:
    """A compiled network."""

    program: Program
    source: str
    """Assembly; its data stand in `weights`, which a file beside it holds."""
    weights: np.ndarray
    """uint16 (words,): the tensor `weights`."""
    grown: dict[str, tuple[int, int]]
    """Sizes of the configuration that had to grow: from, to."""

    @property
    def config(self) -> ArrayConfig:
        return ArrayConfig.from_dict(self.program.config)


def link(net: IntNet, layout: Layout, nest: Nest, config: ArrayConfig, seed: int = 0) -> Linked:
    """One program of a scheduled nest and the memory layout that it was made for.

    seed: of stochastic rounding, if the network rounds so. `imem_words` and `mem_bytes` grow as needed.
    Raises CompileError if the limits of a configuration do not suffice.
    """
    tensors = feature_tensors(net, layout)
    weights = layout.constant_image()
    tensors.append(Tensor(WEIGHTS, "data", "tensor", layout.constants_address, (max(1, weights.size),), 16, False))
    if not weights.size:
        weights = np.zeros(1, "<u2")
    memory = _grown("mem_bytes", config.mem_bytes, tensors[-1].end, MOST_MEMORY, net.name)
    header = [_declaration(tensor) for tensor in tensors]
    code = emit(nest, place_table({tensor.name: (tensor.address, tensor.size_bytes) for tensor in tensors}))
    machine = replace(config, imem_words=MOST_INSTRUCTIONS, mem_bytes=memory)
    lines = [*seed_lines(net, seed), *code.lines]
    program = _assembled(_text(net.name, header, lines, machine), machine, net.name)
    machine = replace(machine, imem_words=_grown("imem_words", config.imem_words, len(program.code), MOST_INSTRUCTIONS, net.name))
    if program.tensors != {tensor.name: tensor for tensor in tensors}:
        raise AssertionError("the assembler placed tensors elsewhere than the layout")
    segments = (*program.segments, Segment(layout.constants_address, weights.astype("<u2").tobytes()))
    stem = file_stem(net.name)
    program = replace(program, config=config_dict(machine), name=stem, lines=tuple((f"{stem}.rpa", number) for _, number in program.lines),
                      segments=tuple(sorted(segments, key=lambda segment: segment.address)))
    header[-1] += f' = file "{stem}.{WEIGHTS}.npy"'
    grown = {name: (getattr(config, name), getattr(machine, name)) for name in ("imem_words", "mem_bytes")
             if getattr(config, name) != getattr(machine, name)}
    return Linked(program, _text(net.name, header, lines, machine), weights, grown)


def write(linked: Linked, folder: Path) -> tuple[Path, Path, Path]:
    """Write assembly, `.npy` and program file into a folder; each is complete or as it was before. Returns their paths.

    The assembly comes after the data that it names, the program file last.
    """
    stem = linked.program.name
    stream = io.BytesIO()
    np.save(stream, linked.weights.astype("<u2"), allow_pickle=False)
    contents = ((f"{stem}.{WEIGHTS}.npy", stream.getvalue()), (f"{stem}.rpa", linked.source.encode()),
                (f"{stem}{PROGRAM_SUFFIX}", linked.program.to_bytes()))
    for name, data in contents:
        write_atomic(folder / name, data)
    data_path, source_path, program_path = (folder / name for name, _ in contents)
    return source_path, data_path, program_path


def feature_tensors(net: IntNet, layout: Layout) -> list[Tensor]:
    """Every feature as a tensor in its buffer, in the order of the layout."""
    names = feature_names(net)
    tensors = []
    for feature_name, placed in layout.features.items():
        feature = placed.feature
        role = "input" if feature_name in net.inputs else "output" if feature_name in net.outputs else "data"
        rows = Rows((placed.row_words, placed.pixel_words), placed.offset_words(0, 0), placed.words, placed.fill_word)
        tensors.append(Tensor(names[feature_name], role, "tensor", placed.address, feature.shape, feature.bits, feature.signed, rows))
    return tensors


def feature_names(net: IntNet) -> dict[str, str]:
    """Feature name -> the name of its tensor: the same, or what the assembler takes for it."""
    names: dict[str, str] = {}
    taken = set(_RESERVED) | {WEIGHTS}
    for feature in net.features:
        stem = name = identifier(feature)
        number = 2
        while name in taken:
            name, number = f"{stem}_{number}", number + 1
        taken.add(name)
        names[feature] = name
    return names


def identifier(text: str) -> str:
    """A name that the assembler takes, made from any text."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_") or "x"
    return name if name[0].isalpha() and name not in CODES["engine"] else f"x_{name}"


def file_stem(text: str) -> str:
    """A file name without a folder, made from any text."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_")[:100] or "network"


def _declaration(tensor: Tensor) -> str:
    sign = "signed" if tensor.signed else "unsigned"
    text = f".{tensor.role:<6} {tensor.name} shape({', '.join(map(str, tensor.shape))}) bits {tensor.bits} {sign}"
    if tensor.layout is not None:
        rows = tensor.layout
        text += f" strides({', '.join(map(str, rows.strides))}) offset {rows.offset} words {rows.words} fill {rows.fill:#06x}"
    return text


def _text(name: str, header: Sequence[str], code: Sequence[str], machine: ArrayConfig) -> str:
    title = " ".join(name.split())
    sizes = config_dict(machine)
    made_for = ", ".join(f"{key} {sizes[key]}" for key in CONFIG_FIELDS if key != "imem_words")
    return "\n".join((f"; {title}", f"; for {made_for}", "", *header, "", *code, "        halt", ""))


def _assembled(source: str, machine: ArrayConfig, name: str) -> Program:
    try:
        return isa.assemble(source, machine)
    except isa.AsmError as error:
        if "E115" in [fault.code for fault in error.diagnostics] or len(source) > 1 << 22:
            raise CodeTooLong(f"`{name}` needs more than {MOST_INSTRUCTIONS} instructions, the most that `imem_words` can be; "
                              f"cut the network in two, or use larger banks, which take fewer tiles") from None
        raise


def _grown(name: str, have: int, need: int, most: int, network: str) -> int:
    """The least power of two from `have` on that holds `need`."""
    if need > most:
        raise CompileError(f"`{network}` needs {need} {name.split('_')[1]} of `{name}`, the most is {most}")
    return max(have, 1 << (need - 1).bit_length())


