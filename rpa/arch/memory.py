"""External memory of a program: its image before the first cycle, and the tensors in it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from isa.errors import did_you_mean
from isa.program import Program, Tensor
from rpa.arch.errors import InputError, NumericsError
from rpa.arch.packing import pack, pack_params, unpack, unpack_params


def build_memory(program: Program, inputs: Mapping[str, Any] | None = None) -> np.ndarray:
    """The bytes of external memory at the first cycle: uint8 (mem_bytes,).

    inputs: for every `.input` (and `.params` input) of the program an integer array of its shape, elements within its
    width; parameter inputs take (M, 3): bias, multiplier, shift. A `.data` tensor may be given to replace its contents.
    Raises InputError for an unknown or missing name, a wrong shape or type, or an element out of range.
    """
    inputs = dict(inputs or {})
    memory = np.zeros(program.config["mem_bytes"], np.uint8)
    for segment in program.segments:
        memory[segment.address:segment.end] = np.frombuffer(segment.payload, np.uint8)
    givable = {name: tensor for name, tensor in program.tensors.items() if tensor.role in ("input", "data")}
    for name in inputs:
        if name not in givable:
            hint = did_you_mean(name, givable) or f"inputs are {', '.join(sorted(givable)) or 'none'}"
            raise InputError(f"`{program.name}` has no input `{name}`; {hint}")
    missing = [tensor.name for tensor in program.inputs() if tensor.name not in inputs]
    if missing:
        raise InputError(f"`{program.name}` needs values for {', '.join(f'`{name}` {_wanted(program.tensors[name])}' for name in missing)}")
    for name, values in inputs.items():
        write_tensor(memory, givable[name], values)
    return memory


def _value_shape(tensor: Tensor) -> tuple[int, ...]:
    return (tensor.shape[0], 3) if tensor.kind == "params" else tuple(tensor.shape)


def _wanted(tensor: Tensor) -> str:
    shape = _value_shape(tensor)
    if tensor.kind == "params":
        return f"{shape} bias, multiplier, shift"
    return f"{shape} {tensor.bits} bits {'signed' if tensor.signed else 'unsigned'}"


def _words(tensor: Tensor) -> slice:
    return slice(tensor.address, tensor.address + tensor.size_bytes)


def _rows(buffer: np.ndarray, tensor: Tensor) -> np.ndarray:
    """A view of a tensor's buffer, uint16 (words,), that has its innermost rows: uint16 (..., row_words)."""
    if tensor.kind == "params":
        return buffer.reshape(tensor.shape[0], tensor.row_words)
    layout = tensor.placement
    shape = (*tensor.shape[:-1], tensor.row_words)
    return as_strided(buffer[layout.offset:], shape, (*(2 * stride for stride in layout.strides), 2))


def write_tensor(memory: np.ndarray, tensor: Tensor, values: Any) -> None:
    """Put ``values`` (see :func:`build_memory`) into ``memory``, uint8 (mem_bytes,), in place. Raises InputError."""
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"`{tensor.name}` has type {array.dtype}, must be an integer type: {_wanted(tensor)}")
    if array.shape != _value_shape(tensor):
        raise InputError(f"`{tensor.name}` has shape {array.shape}, must be {_wanted(tensor)}")
    try:
        if tensor.kind == "params":
            words = pack_params(array[:, 0], array[:, 1], array[:, 2])
        else:
            words = pack(array, tensor.bits, signed=tensor.signed, what="value")
    except NumericsError as error:
        raise InputError(f"`{tensor.name}`: {error}") from None
    buffer = memory[_words(tensor)].view("<u2")
    if tensor.layout is not None:
        buffer[:] = tensor.layout.fill
    _rows(buffer, tensor)[...] = words


def read_tensor(memory: np.ndarray, tensor: Tensor) -> np.ndarray:
    """The values of a tensor in ``memory``, uint8 (mem_bytes,): int32 of its shape; int64 (M, 3) for parameters."""
    rows = np.ascontiguousarray(_rows(memory[_words(tensor)].view("<u2"), tensor))
    return unpack_params(rows) if tensor.kind == "params" else unpack(rows, tensor.bits, tensor.shape[-1], signed=tensor.signed)
