"""Constant folding: ONNX operators whose inputs are all known, computed at once, within bounded memory.

Only what exporters use to compute shapes and weights is here. A result may have at most `FOLD_LIMIT` elements, and its size is known
before it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import cast

import numpy as np
import onnx

from rpa.net.errors import NetError
from rpa.net.lowering import integer, integers
from rpa.net.onnx_raw import RawNode

FOLD_LIMIT = 1 << 27
Arrays = Sequence[np.ndarray]


def fold(node: RawNode, inputs: Sequence[np.ndarray | None], opset: int) -> np.ndarray | None:
    """The value of a node with constant inputs (None: left out), None if its operator is not one of these. NetError if it makes no sense."""
    if node.domain or node.op not in FOLDED:
        return None
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(FOLDED[node.op](node, cast(Arrays, inputs), opset))
    except NetError:
        raise
    except Exception as error:  # whatever NumPy makes of shapes and types that do not fit
        raise NetError(f"cannot be computed from its constants: {str(error)[:200]}") from None
    if result.size > FOLD_LIMIT:
        raise NetError(f"gives {result.size} elements, must give at most {FOLD_LIMIT}")
    return result


def _bounded(shape: Sequence[int]) -> tuple[int, ...]:
    if min(shape, default=1) < 0 or prod(shape) > FOLD_LIMIT:
        raise NetError(f"gives shape {tuple(shape)}, must have at most {FOLD_LIMIT} elements")
    return tuple(shape)


def _axes(node: RawNode, inputs: Arrays, opset: int) -> tuple[int, ...]:
    if opset >= 13:
        return tuple(int(axis) for axis in inputs[1].ravel()) if len(inputs) > 1 and inputs[1] is not None else ()
    return integers(node, "axes", ())


def _constant(node: RawNode, inputs: Arrays, opset: int) -> np.ndarray:
    for name, kind in (("value", None), ("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64), ("value_ints", np.int64)):
        if node.attributes.get(name) is not None:
            return np.asarray(node.attributes[name], kind)
    raise NetError("holds no number")


def _filled(node: RawNode, inputs: Arrays, opset: int) -> np.ndarray:
    value = np.asarray(node.attributes.get("value", np.zeros(1, np.float32)))
    return np.full(_bounded([int(size) for size in inputs[0]]), value.ravel()[0], value.dtype)


def _cast(node: RawNode, inputs: Arrays, opset: int) -> np.ndarray:
    kind = onnx.helper.tensor_dtype_to_np_dtype(integer(node, "to", 1))
    return inputs[0].astype(np.float32 if kind.name in ("float16", "bfloat16") else kind)


def _slice(node: RawNode, inputs: Arrays, opset: int) -> np.ndarray:
    data = inputs[0]
    if opset < 10:
        starts, ends = integers(node, "starts", ()), integers(node, "ends", ())
        axes, steps = integers(node, "axes", tuple(range(len(starts)))), (1,) * len(starts)
    else:
        starts, ends = (tuple(int(v) for v in inputs[i].ravel()) for i in (1, 2))
        axes = tuple(int(v) for v in inputs[3].ravel()) if len(inputs) > 3 and inputs[3] is not None else tuple(range(len(starts)))
        steps = tuple(int(v) for v in inputs[4].ravel()) if len(inputs) > 4 and inputs[4] is not None else (1,) * len(starts)
    cut = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        cut[axis] = slice(start, None if step < 0 and end < -data.shape[axis] else end, step)
    return data[tuple(cut)]


def _reshape(node: RawNode, inputs: Arrays, opset: int) -> np.ndarray:
    shape = [int(size) for size in inputs[1]]
    if not integer(node, "allowzero", 0):
        shape = [inputs[0].shape[index] if size == 0 else size for index, size in enumerate(shape)]
    return inputs[0].reshape(shape)


def _flatten(node: RawNode, inputs: Arrays, opset: int) -> np.ndarray:
    axis = integer(node, "axis", 1)
    axis += inputs[0].ndim * (axis < 0)
    return inputs[0].reshape(prod(inputs[0].shape[:axis]), -1)


def _unsqueeze(node: RawNode, inputs: Arrays, opset: int) -> np.ndarray:
    return np.expand_dims(inputs[0], _axes(node, inputs, opset))


def _squeeze(node: RawNode, inputs: Arrays, opset: int) -> np.ndarray:
    axes = _axes(node, inputs, opset)
    return np.squeeze(inputs[0], axes or None)


def _expand(node: RawNode, inputs: Arrays, opset: int) -> np.ndarray:
    shape = _bounded(np.broadcast_shapes(inputs[0].shape, tuple(int(size) for size in inputs[1])))
    return np.broadcast_to(inputs[0], shape)


def _range(node: RawNode, inputs: Arrays, opset: int) -> np.ndarray:
    start, limit, step = (array.ravel()[0] for array in inputs)
    _bounded([max(0, int(np.ceil((float(limit) - float(start)) / float(step))))])
    return np.arange(start, limit, step).astype(inputs[0].dtype)


def _arithmetic(function: Callable[..., np.ndarray]):
    def compute(node: RawNode, inputs: Arrays, opset: int) -> np.ndarray:
        _bounded(np.broadcast_shapes(*(array.shape for array in inputs)))
        return function(*inputs).astype(inputs[0].dtype)

    return compute


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.trunc(a / b) if a.dtype.kind in "iu" else a / b


def _matmul(node: RawNode, inputs: Arrays, opset: int) -> np.ndarray:
    a, b = inputs
    _bounded((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *a.shape[-2:-1], *b.shape[-1:]))
    return a @ b


FOLDED: dict[str, Callable[[RawNode, Arrays, int], np.ndarray]] = {
    "Constant": _constant, "ConstantOfShape": _filled, "Cast": _cast, "Slice": _slice, "Reshape": _reshape, "Flatten": _flatten,
    "Unsqueeze": _unsqueeze, "Squeeze": _squeeze, "Expand": _expand, "Range": _range, "MatMul": _matmul,
    "Identity": lambda node, inputs, opset: inputs[0], "Dropout": lambda node, inputs, opset: inputs[0],
    "Shape": lambda node, inputs, opset: np.array(inputs[0].shape[integer(node, "start", 0):integer(node, "end", inputs[0].ndim)], np.int64),
    "Size": lambda node, inputs, opset: np.array(inputs[0].size, np.int64),
    "Gather": lambda node, inputs, opset: np.take(inputs[0], inputs[1].astype(np.int64), axis=integer(node, "axis", 0)),
    "Concat": lambda node, inputs, opset: np.concatenate(inputs, axis=integer(node, "axis", 0)),
    "Transpose": lambda node, inputs, opset: inputs[0].transpose(integers(node, "perm", tuple(reversed(range(inputs[0].ndim))))),
    "Add": _arithmetic(np.add), "Sub": _arithmetic(np.subtract), "Mul": _arithmetic(np.multiply), "Div": _arithmetic(_divided),
    "Pow": _arithmetic(np.power), "Sqrt": _arithmetic(np.sqrt), "Neg": _arithmetic(np.negative), "Exp": _arithmetic(np.exp),
    "Reciprocal": _arithmetic(np.reciprocal), "Abs": _arithmetic(np.abs), "Floor": _arithmetic(np.floor), "Ceil": _arithmetic(np.ceil),
    "Max": _arithmetic(lambda *a: np.maximum.reduce(a)), "Min": _arithmetic(lambda *a: np.minimum.reduce(a)),
    "Relu": _arithmetic(lambda a: np.maximum(a, 0)),
    "Clip": _arithmetic(lambda a, *b: np.clip(a, *(None if limit is None else limit for limit in (*b, None, None)[:2]))),
}
