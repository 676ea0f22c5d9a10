"""Widths of every layer: given in a word ("8", "w4a8"), or as a table that a user can edit.

The table is TOML: `[default]` and, for the layers that differ, `[layers."NAME"]`, each with `act_bits` and `weight_bits`. `act_bits` is the width of
the activations that a layer reads; a tensor that several layers read is stored at the widest. What no layer reads, the network's outputs, has
`output_bits` (16 unless told). Layers without weights have `act_bits` only.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from isa.errors import did_you_mean
from isa.files import write_atomic
from rpa.quant.errors import QuantError
from rpa.quant.scales import WIDTHS

OUTPUT_BITS = 16
_FILE_LIMIT = 1 << 22
_SHORT = re.compile(r"w(\d{1,2})a(\d{1,2})|(\d{1,2})", re.ASCII)


@dataclass(frozen=True)
class Width:
    """Of one layer, in bits."""

    act_bits: int
    weight_bits: int

    def __post_init__(self) -> None:
        for name, bits in (("act_bits", self.act_bits), ("weight_bits", self.weight_bits)):
            if bits not in WIDTHS or isinstance(bits, bool):
                raise QuantError(f"{name} is {bits!r}, must be one of {', '.join(map(str, WIDTHS))}")

    def __str__(self) -> str:
        return str(self.act_bits) if self.act_bits == self.weight_bits else f"w{self.weight_bits}a{self.act_bits}"


@dataclass(frozen=True)
class WidthTable:
    """The width of each layer."""

    default: Width
    layers: Mapping[str, Width] = field(default_factory=dict)
    """By name of the node; the others have the default."""
    output_bits: int = OUTPUT_BITS

    def __post_init__(self) -> None:
        if self.output_bits not in WIDTHS:
            raise QuantError(f"output_bits is {self.output_bits!r}, must be one of {', '.join(map(str, WIDTHS))}")

    def __getitem__(self, layer: str) -> Width:
        return self.layers.get(layer, self.default)

    def check(self, names: Iterable[str]) -> None:
        """QuantError if the table names a layer that is not among `names`."""
        names = tuple(names)
        for layer in self.layers:
            if layer not in names:
                hint = did_you_mean(layer, names) or f"there are {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
                raise QuantError(f"table of widths: no layer is called `{layer}`; {hint}")

    def to_toml(self) -> str:
        """The table as text; `parse_table` reads it back."""
        lines = ["# act_bits: of what a layer reads; weight_bits: of its weights. 16, 8, 4, 3 or 2.",
                 f"output_bits = {self.output_bits}", "", "[default]", *_rows(self.default)]
        for name, width in self.layers.items():
            lines += ["", f"[layers.{_quoted(name)}]", *_rows(width)]
        return "\n".join(lines) + "\n"

    def save(self, path: Path) -> None:
        write_atomic(path, self.to_toml().encode())


def _quoted(name: str) -> str:
    """A TOML string: one of JSON, which allows DEL as it is."""
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")


def _rows(width: Width) -> list[str]:
    return [f"act_bits = {width.act_bits}", f"weight_bits = {width.weight_bits}"]


def parse_widths(spec: str | int | Path | Width | WidthTable) -> WidthTable:
    """A table from "8", "w4a8" (weights 4, activations 8), a number, a TOML file, or a table itself. QuantError if it is none of these."""
    if isinstance(spec, WidthTable):
        return spec
    if isinstance(spec, Width):
        return WidthTable(spec)
    if isinstance(spec, Path) or str(spec).endswith(".toml"):
        return _read(Path(str(spec)))
    match = _SHORT.fullmatch(str(spec).lower())
    if not match:
        raise QuantError(f"widths are {spec!r}, must be a number of bits such as 8, weights and activations such as w4a8, or a .toml file")
    weight, act, both = match.groups()
    return WidthTable(Width(int(act or both), int(weight or both)))


def _read(path: Path) -> WidthTable:
    try:
        if path.stat().st_size > _FILE_LIMIT:
            raise QuantError(f"{path}: larger than {_FILE_LIMIT} bytes, the most that a table of widths has")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise QuantError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    try:
        return parse_table(text)
    except QuantError as error:
        raise QuantError(f"{path}: {error}") from None


def parse_table(text: str) -> WidthTable:
    """A table from TOML text. QuantError for what is no table, with the key."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise QuantError(f"not TOML: {error}") from None
    _known(data, ("default", "layers", "output_bits"), "the table")
    if "default" not in data:
        raise QuantError("`[default]` is missing, with act_bits and weight_bits")
    layers = data.get("layers", {})
    if not isinstance(layers, dict):
        raise QuantError('`layers` must hold tables such as [layers."conv1"]')
    default = _width(data["default"], "[default]", None)
    return WidthTable(default, {name: _width(row, f"[layers.{_quoted(name)}]", default) for name, row in layers.items()},
                      data.get("output_bits", OUTPUT_BITS))


def _known(row: object, keys: tuple[str, ...], where: str) -> dict[str, object]:
    if not isinstance(row, dict):
        raise QuantError(f"{where} is {row!r}, must be a table with {', '.join(keys)}")
    for key in row:
        if key not in keys:
            raise QuantError(f"{where} has `{key}`; {did_you_mean(key, keys) or 'it may have ' + ', '.join(keys)}")
    return row


def _width(row: object, where: str, default: Width | None) -> Width:
    keys = ("act_bits", "weight_bits")
    given = _known(row, keys, where)
    missing = [key for key in keys if key not in given]
    if missing and default is None:
        raise QuantError(f"{where} has no `{missing[0]}`")
    try:
        act_bits, weight_bits = (given.get(key, getattr(default, key, None)) for key in keys)
        return Width(act_bits, weight_bits)  # type: ignore[arg-type] # what is no width is refused by Width
    except QuantError as error:
        raise QuantError(f"{where}: {error}") from None
