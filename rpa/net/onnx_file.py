"""ONNX files into memory, safely: sizes are looked at before anything is parsed, and only the folder of the file is read.

A `ModelProto` leaves here with its tensors inside. The libraries raise a dozen kinds of
exceptions for broken files; outside there is NetError alone. Nothing in a model is ever executed.
"""

from __future__ import annotations

import math
import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

from rpa.net.errors import NetError

MODEL_BYTES = 1 << 30
"""A model file and its external data may take this much each."""
NODE_LIMIT = 50_000
OPSETS = range(6, 27)
"""Versions of ONNX's own operators whose meaning is known here."""
_BITS: dict[int, int] = {onnx.TensorProto.FLOAT: 32, onnx.TensorProto.FLOAT16: 16, onnx.TensorProto.DOUBLE: 64, onnx.TensorProto.BFLOAT16: 16,
         onnx.TensorProto.INT64: 64, onnx.TensorProto.INT32: 32, onnx.TensorProto.INT16: 16, onnx.TensorProto.INT8: 8,
         onnx.TensorProto.UINT64: 64, onnx.TensorProto.UINT32: 32, onnx.TensorProto.UINT16: 16, onnx.TensorProto.UINT8: 8,
         onnx.TensorProto.INT4: 4, onnx.TensorProto.UINT4: 4, onnx.TensorProto.INT2: 2, onnx.TensorProto.UINT2: 2, onnx.TensorProto.BOOL: 8}


def read_model(source: str | os.PathLike[str] | bytes | onnx.ModelProto) -> onnx.ModelProto:
    """The model of a file, of its bytes, or itself, external data included. NetError if it cannot be trusted or understood."""
    if isinstance(source, onnx.ModelProto):
        return _checked(source, None, "the model")
    if isinstance(source, bytes):
        return _checked(_parse(source, "the model"), None, "the model")
    path = Path(source)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise NetError(f"{path}: is not a regular file")
        if status.st_size > MODEL_BYTES:
            raise NetError(f"{path}: has {status.st_size} bytes, must have at most {MODEL_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise NetError(f"{path}: {error.strerror or error}") from None
    return _checked(_parse(data, str(path)), path.parent, str(path))


def _parse(data: bytes, what: str) -> onnx.ModelProto:
    if len(data) > MODEL_BYTES:
        raise NetError(f"{what}: has {len(data)} bytes, must have at most {MODEL_BYTES}")
    try:
        return onnx.load_from_string(data)
    except Exception as error:  # protobuf's own kinds of errors depend on its build
        raise NetError(f"{what}: is not an ONNX model ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _checked(model: onnx.ModelProto, folder: Path | None, what: str) -> onnx.ModelProto:
    if not model.graph.node and not model.graph.output:
        raise NetError(f"{what}: holds no graph; is it an ONNX model?")
    if len(model.graph.node) > NODE_LIMIT:
        raise NetError(f"{what}: has {len(model.graph.node)} nodes, must have at most {NODE_LIMIT}")
    opset_of(model, what)
    _check_tensors(model, folder, what)
    return model


def check_model(model: onnx.ModelProto, what: str) -> None:
    """What onnx's own checker finds. NetError if it finds something."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            onnx.checker.check_model(_with_output_shapes(model))
    except Exception as error:
        raise NetError(f"{what}: is not a valid ONNX model: {_first_line(error)}") from None


def _with_output_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The checker wants a shape at each output, which nobody here reads and not every tool writes."""
    if all(value.type.tensor_type.HasField("shape") for value in model.graph.output):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for value in copy.graph.output:
        value.type.tensor_type.elem_type = value.type.tensor_type.elem_type or onnx.TensorProto.FLOAT
        value.type.tensor_type.shape.SetInParent()
    return copy


def opset_of(model: onnx.ModelProto, what: str) -> int:
    """Version of ONNX's own operators. NetError if there is none, or none that is known here."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or versions[0] not in OPSETS:
        raise NetError(f"{what}: opset is {versions[0] if versions else 'not given'}, must be {OPSETS.start}..{OPSETS.stop - 1}; "
                       "export it again or use onnx.version_converter")
    return versions[0]


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t


def tensor_bytes(tensor: onnx.TensorProto) -> int:
    """Bytes that a tensor's shape and type ask for. NetError for a type that no network here needs."""
    if tensor.data_type not in _BITS or min(tensor.dims, default=0) < 0:
        kind = onnx.TensorProto.DataType.Name(tensor.data_type) if tensor.data_type in onnx.TensorProto.DataType.values() else tensor.data_type
        raise NetError(f"tensor `{tensor.name}` has type {kind} and shape {tuple(tensor.dims)}, which no network here can use")
    return (math.prod(tensor.dims) * _BITS[tensor.data_type] + 7) // 8


def _check_tensors(model: onnx.ModelProto, folder: Path | None, what: str) -> None:
    """Sizes, then external data into the model."""
    total = 0
    for tensor in _tensors(model):
        if tensor.data_type == onnx.TensorProto.STRING:
            continue
        size = tensor_bytes(tensor)
        total += size
        if total > MODEL_BYTES:
            raise NetError(f"{what}: tensors up to `{tensor.name}` take {total} bytes, must take at most {MODEL_BYTES}")
        if uses_external_data(tensor):
            _load_external(tensor, size, folder, what)


def _load_external(tensor: onnx.TensorProto, size: int, folder: Path | None, what: str) -> None:
    if folder is None:
        raise NetError(f"{what}: the data of `{tensor.name}` lies in another file; import the model from its file")
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if entries.setdefault("length", str(size)) != str(size):
        raise NetError(f"{what}: external data of `{tensor.name}` has length {entries['length'][:40]}, its shape needs {size}")
    if all(entry.key != "length" for entry in tensor.external_data):
        tensor.external_data.add(key="length", value=str(size))
    try:
        load_external_data_for_tensor(tensor, str(folder))
    except Exception as error:
        raise NetError(f"{what}: external data of `{tensor.name}` cannot be read: {_first_line(error)}") from None
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]
