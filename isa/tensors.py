"""Tensors of a program: where they lie in external memory, and the bytes of those with data."""

from __future__ import annotations

import struct
from dataclasses import replace
from math import prod
from pathlib import Path

from isa.diagnostics import Fault, Span
from isa.errors import RpaError
from isa.layout import Layout, contiguous
from isa.npy import read_npy
from isa.program import TENSOR_ALIGN, WIDTHS, Segment, Tensor
from isa.source import Reporter, Site, inside
from isa.symbols import Symbol, Symbols
from isa.syntax import Expr, LayoutDecl, TensorDecl, Text
from isa.table import PARAM_WORDS

DIMS_LIMIT = 8
BIAS_LIMIT, MULTIPLIER_LIMIT, SHIFT_LIMIT = 1 << 47, 1 << 31, 1 << 7
PARAM_NAMES = ("bias", "multiplier", "shift")


def pack_row(values: list[int], bits: int) -> bytes:
    """Return one innermost row as little-endian bytes, first element in the low bits, padded with 0 to whole 16-bit words."""
    per_byte = max(1, 8 // bits)
    mask = (1 << bits) - 1
    if bits == 16:
        return struct.pack(f"<{len(values)}H", *(value & mask for value in values))
    packed = bytearray()
    for start in range(0, len(values), per_byte):
        byte = 0
        for number, value in enumerate(values[start:start + per_byte]):
            byte |= (value & mask) << (number * bits)
        packed.append(byte)
    return bytes(packed) + b"\0" * (len(packed) % 2)


def unpack_row(row: bytes, count: int, bits: int, signed: bool) -> list[int]:
    """Return the ``count`` elements of one packed row."""
    number, mask, half = int.from_bytes(row, "little"), (1 << bits) - 1, 1 << bits - 1
    values = [(number >> (bits * index)) & mask for index in range(count)]
    return [value - 2 * half if signed and value >= half else value for value in values]


def pack_param(bias: int, multiplier: int, shift: int) -> bytes:
    """Return one requantization entry: 48-bit bias, 32-bit multiplier, shift, two words of 0."""
    fields = (bias & (1 << 48) - 1).to_bytes(6, "little") + multiplier.to_bytes(4, "little") + shift.to_bytes(2, "little")
    return fields.ljust(2 * PARAM_WORDS, b"\0")


def unpack_param(entry: bytes) -> tuple[int, int, int]:
    bias = int.from_bytes(entry[:6], "little", signed=True)
    return bias, int.from_bytes(entry[6:10], "little"), int.from_bytes(entry[10:12], "little")


def background(tensor: Tensor) -> bytes:
    """Return the buffer of a tensor with nothing in it but its fill word."""
    return tensor.placement.fill.to_bytes(2, "little") * tensor.words


def pack_tensor(values: list[int], tensor: Tensor) -> bytes:
    """Return the buffer of a tensor with these elements, in C order."""
    row, size = tensor.shape[-1], 2 * tensor.row_words
    packed = (pack_row(values[start:start + row], tensor.bits) for start in range(0, len(values), row))
    if tensor.layout is None:
        return b"".join(packed)
    buffer = bytearray(background(tensor))
    for place, part in zip(tensor.layout.rows(tensor.shape), packed, strict=True):
        buffer[2 * place:2 * place + size] = part
    return bytes(buffer)


def unpack_tensor(payload: bytes, tensor: Tensor) -> list[int]:
    """Return the elements in a buffer, in C order."""
    row, size = tensor.shape[-1], 2 * tensor.row_words
    return [value for place in tensor.placement.rows(tensor.shape)
            for value in unpack_row(payload[2 * place:2 * place + size], row, tensor.bits, tensor.signed)]


def tensor_limits(bits: int, signed: bool) -> tuple[int, int]:
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


class TensorLayout:
    """Places tensors in order of appearance, each as soon as a name or the assembler asks for it."""

    def __init__(self, order: list[Symbol], symbols: Symbols, reporter: Reporter, mem_bytes: int) -> None:
        self.order, self.symbols, self.reporter, self.mem_bytes = order, symbols, reporter, mem_bytes
        self._placed = self._end = 0

    def place_up_to(self, symbol: Symbol | None) -> None:
        """Place every tensor up to ``symbol`` (None: all). A fault marks its tensor as failed."""
        while self._placed < len(self.order):
            current = self.order[self._placed]
            if current.state == "busy":
                raise Fault("E109", f"the shape of `{current.name}` depends on a tensor behind it", current.span, current.site)
            current.state = "busy"
            try:
                current.tensor = self._place(current)
                current.state = "done"
            except Fault as fault:
                if self.symbols.early and fault.code == "E105":
                    current.state = "open"
                    raise
                current.state = "failed"
                self.reporter.report(fault, current.site)
            self._placed += 1
            if current is symbol:
                return

    def _place(self, symbol: Symbol) -> Tensor:
        decl = symbol.decl
        assert decl is not None
        shape = self._shape(decl, symbol.site)
        bits = 16 if decl.bits is None else self.symbols.value(decl.bits, symbol.site)
        if decl.bits is not None and bits not in WIDTHS:
            raise Fault("E108", f"`bits` is {bits}, must be one of {', '.join(map(str, WIDTHS))}", decl.bits.span)
        start = -(-self._end // TENSOR_ALIGN) * TENSOR_ALIGN
        tensor = Tensor(symbol.name, decl.role, decl.kind, start, shape, bits, decl.signed)
        if decl.layout is not None:
            tensor = replace(tensor, layout=self._layout(decl.layout, tensor, symbol))
        if tensor.end > self.mem_bytes:
            raise Fault("E115", f"tensor `{symbol.name}` ends at byte {tensor.end}, the machine's mem_bytes is {self.mem_bytes}", symbol.span,
                        hint=f"it starts at {tensor.address} and has {tensor.size_bytes} bytes")
        self._end = tensor.end
        return tensor

    def _layout(self, decl: LayoutDecl, tensor: Tensor, symbol: Symbol) -> Layout:
        """What a declaration says of its layout, completed: rows that follow each other, and no words behind the last."""
        plain = contiguous(tensor.shape, tensor.row_words)
        strides = plain.strides if decl.strides is None else tuple(self._word(expr, "a stride", 1 << 31, symbol.site) for expr in decl.strides)
        offset = 0 if decl.offset is None else self._word(decl.offset, "`offset`", 1 << 31, symbol.site)
        fill = 0 if decl.fill is None else self._word(decl.fill, "`fill`", 0xFFFF, symbol.site)
        end = offset + tensor.row_words + sum((size - 1) * stride for size, stride in zip(tensor.shape[:-1], strides, strict=False))
        words = end if decl.words is None else self._word(decl.words, "`words`", 1 << 31, symbol.site)
        layout = Layout(strides, offset, words, fill)
        problem = layout.problem(tensor.shape, tensor.row_words)
        if problem is not None:
            raise Fault("E107" if len(strides) != len(plain.strides) else "E108", f"tensor `{symbol.name}`: {problem}", symbol.span)
        return layout

    def _word(self, expr: Expr, what: str, high: int, site: Site) -> int:
        value = self.symbols.value(expr, site)
        if not 0 <= value <= high:
            raise Fault("E108", f"{what} is {value}, must be 0..{high}", expr.span, site)
        return value

    def _shape(self, decl: TensorDecl, site: Site) -> tuple[int, ...]:
        if decl.kind == "params" and len(decl.dims) != 1:
            raise Fault("E107", f"`.params` has {len(decl.dims)} dimensions, must have one: the number of entries", decl.dims[1].span)
        if len(decl.dims) > DIMS_LIMIT:
            raise Fault("E107", f"{len(decl.dims)} dimensions, at most {DIMS_LIMIT} are allowed", decl.dims[DIMS_LIMIT].span)
        shape = []
        for dim in decl.dims:
            size = self.symbols.value(dim, site)
            if not 1 <= size <= 1 << 31:
                raise Fault("E108", f"a dimension is {size}, must be 1..{1 << 31}", dim.span, site)
            shape.append(size)
        return tuple(shape)


class DataReader:
    """Makes the segments of `.data` and `.params` with values."""

    def __init__(self, symbols: Symbols, reporter: Reporter, root: Path | None) -> None:
        self.symbols, self.reporter, self.root = symbols, reporter, root

    def segment(self, symbol: Symbol) -> Segment | None:
        """Return the bytes of a placed tensor; None if it has neither values nor a fill word. Faults are reported."""
        decl, tensor = symbol.decl, symbol.tensor
        if decl is None or tensor is None:
            return None
        if decl.values is None:
            filled = tensor.layout is not None and tensor.layout.fill
            return Segment(tensor.address, background(tensor)) if filled else None
        try:
            if tensor.kind == "params":
                payload = self._params(decl, tensor, symbol.site)
            else:
                payload = self._elements(decl, tensor, symbol.site)
        except Fault as fault:
            self.reporter.report(fault, symbol.site)
            return None
        return Segment(tensor.address, payload)

    def _elements(self, decl: TensorDecl, tensor: Tensor, site: Site) -> bytes:
        low, high = tensor_limits(tensor.bits, tensor.signed)
        kind = f"{tensor.bits} bits {'signed' if tensor.signed else 'unsigned'}"
        if isinstance(decl.values, Text):
            values, span = self._file(decl.values, tensor.shape, site), decl.values.span
            bad = next((value for value in values if not low <= value <= high), None)
            if bad is not None:
                raise Fault("E114", f"`{decl.values.text}` has the value {bad}, must be {low}..{high} ({kind})", span)
        else:
            values = self._listed(decl, prod(tensor.shape), low, high, kind, site)
        return pack_tensor(values, tensor)

    def _listed(self, decl: TensorDecl, count: int, low: int, high: int, kind: str, site: Site) -> list[int]:
        exprs = decl.values
        assert isinstance(exprs, tuple)
        if len(exprs) != count:
            raise Fault("E114", f"{len(exprs)} values, the shape needs {count}", exprs[min(len(exprs) - 1, count)].span)
        return [self._value(expr, low, high, "a value", kind, site) for expr in exprs]

    def _value(self, expr: Expr, low: int, high: int, what: str, kind: str, site: Site) -> int:
        value = self.symbols.value(expr, site)
        if not low <= value <= high:
            raise Fault("E108", f"{what} is {value}, must be {low}..{high} ({kind})", expr.span, site)
        return value

    def _params(self, decl: TensorDecl, tensor: Tensor, site: Site) -> bytes:
        count = tensor.shape[0]
        limits = ((-BIAS_LIMIT, BIAS_LIMIT - 1), (0, MULTIPLIER_LIMIT - 1), (0, SHIFT_LIMIT - 1))
        if isinstance(decl.values, Text):
            flat, span = self._file(decl.values, (count, 3), site), decl.values.span
            for number, value in enumerate(flat):
                low, high = limits[number % 3]
                if not low <= value <= high:
                    raise Fault("E114", f"`{decl.values.text}` has the {PARAM_NAMES[number % 3]} {value}, must be {low}..{high}", span)
        else:
            exprs = decl.values or ()
            if len(exprs) not in (3, 3 * count):
                raise Fault("E114", f"{len(exprs)} values, must be bias, multiplier, shift, once or {count} times", exprs[-1].span)
            kinds = ("48 bits signed", "31 bits", "7 bits")
            flat = [self._value(expr, *limits[n % 3], PARAM_NAMES[n % 3], kinds[n % 3], site) for n, expr in enumerate(exprs)]
            span = exprs[min(2, len(exprs) - 1)].span
        self._check_shifts(flat, span, site)
        entries = [pack_param(*flat[start:start + 3]) for start in range(0, len(flat), 3)]
        return b"".join(entries) if len(entries) == count else entries[0] * count

    def _check_shifts(self, flat: list[int], span: Span, site: Site) -> None:
        bad = next((shift for shift in flat[2::3] if not 1 <= shift <= 62), None)
        if bad is not None:
            self.reporter.warn("W104", f"shift {bad}: a drain that is not raw faults with RQ_SHIFT", span, site, hint="use a shift of 1..62")

    def _file(self, text: Text, shape: tuple[int, ...], site: Site) -> list[int]:
        if self.root is None:
            raise Fault("E111", "`file` in a source without a folder", text.span, hint="assemble a file instead of a text")
        path = inside(self.root, site.line.file.folder or self.root, text.text, text.span)
        try:
            return read_npy(path, shape)
        except RpaError as error:
            raise Fault("E114", f"`{text.text}`: {error}", text.span) from None
        except OSError as error:
            raise Fault("E111", f"`{text.text}` cannot be read: {error.strerror}", text.span) from None
