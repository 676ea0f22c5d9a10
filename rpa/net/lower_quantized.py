"""Operators on integers, read as numbers: QuantizeLinear, DequantizeLinear, QLinear*, *Integer, QONNX Quant.

An activation stays a number in the graph; where the model has it as integers, its `Tensor` carries the `Code` to read them by. So
QuantizeLinear is a `Quant` node, DequantizeLinear is nothing, and QLinearConv is a Conv with a Quant behind it. Constants keep their
integers beside their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import onnx

from rpa.net.errors import NetError
from rpa.net.graph import Code, QuantizedArray
from rpa.net.lowering import HANDLERS, MICROSOFT, QONNX, Constant, Lowering, Value, integer, integers, lowers
from rpa.net.onnx_raw import RawNode
from rpa.net.views import Tensor

INTEGERS = {"int2": (2, True), "uint2": (2, False), "int4": (4, True), "uint4": (4, False), "int8": (8, True), "uint8": (8, False),
            "int16": (16, True), "uint16": (16, False), "int32": (32, True)}
"""Types that numbers may be quantized to: bits, signed."""
_ATTRIBUTES = ("alpha", "auto_pad", "axis", "ceil_mode", "count_include_pad", "dilations", "group", "kernel_shape", "pads", "strides", "transA",
               "transB")


def undetermined(tensor: Tensor, kind: np.dtype) -> Tensor:
    """An input of integers whose scale its first reader will tell. NetError for a type that is none of ours."""
    if kind.name not in INTEGERS:
        raise NetError(f"input `{tensor.name}` has type {kind.name}, must be float or one of {', '.join(INTEGERS)}")
    return replace(tensor, code=Code(0.0, 0, *INTEGERS[kind.name]))


def as_itself(ctx: Lowering, node: RawNode, x: Tensor) -> Tensor:
    """Integers that are used as they are before anything told their scale: it is 1, without a zero point."""
    if x.code is None or x.code.scale:
        return x
    real = dequantized(ctx, node, x, np.ones((), np.float32), np.zeros((), np.int64))
    return replace(real, code=ctx.codes[x.name])


def _range(bits: int, signed: bool) -> tuple[int, int]:
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def _scale(values: np.ndarray | None, what: str) -> np.ndarray:
    if values is None or values.dtype.kind != "f" or not np.isfinite(values).all() or (values <= 0).any():
        raise NetError(f"{what} must be constant, finite and positive")
    return values.astype(np.float32)


def _one_code(scale: np.ndarray, zero: np.ndarray, kind: str) -> Code:
    """The code of an activation: one scale, one zero point of its type."""
    if scale.size != 1 or zero.size != 1:
        raise NetError(f"an activation has {scale.size} scales and {zero.size} zero points, must have one")
    if kind not in INTEGERS:
        raise NetError(f"quantizes to {kind}, must be one of {', '.join(INTEGERS)}")
    return Code(float(scale.ravel()[0]), int(zero.ravel()[0]), *INTEGERS[kind])


def quantized(ctx: Lowering, node: RawNode, x: Tensor, code: Code, limits: tuple[int, int] | None = None) -> Tensor:
    """x as integers: a Quant node behind it."""
    low, high = limits or _range(code.bits, code.signed)
    if not low <= code.zero_point <= high:
        raise NetError(f"zero point is {code.zero_point}, must be {low}..{high}")
    attributes: dict[str, object] = {"scale": code.scale, "zero_point": code.zero_point, "low": low, "high": high, "bits": code.bits,
                                     "signed": code.signed}
    result = replace(ctx.like("Quant", node, x, attributes=attributes), code=code)
    if x.name in ctx.sources:
        ctx.sources[result.name] = ctx.sources[x.name]
    return result


def narrowed(ctx: Lowering, node: RawNode, x: Tensor, low: float, high: float) -> Tensor:
    """Integers clipped to a smaller range."""
    x = as_itself(ctx, node, x)
    code = cast(Code, x.code)
    least, most = _range(code.bits, code.signed)
    return quantized(ctx, node, replace(x, code=None), code, (int(max(low, least)), int(min(high, most))))


def dequantized(ctx: Lowering, node: RawNode, x: Tensor, scale: np.ndarray, zero: np.ndarray) -> Tensor:
    """Integers as numbers; an input of integers learns its code here."""
    if x.code is None:
        raise NetError(f"`{x.name}` holds numbers, must hold integers")
    code = replace(x.code, scale=_one_code(scale, zero, "int32").scale, zero_point=int(zero.ravel()[0]))
    if x.code.scale:
        if x.code != code:
            raise NetError(f"reads `{x.name}` with scale {code.scale} and zero point {code.zero_point}, "
                           f"it was written with {x.code.scale} and {x.code.zero_point}")
        return replace(x, code=None)
    if ctx.codes.setdefault(x.name, code) != code:
        raise NetError(f"reads input `{x.name}` with scale {code.scale} and zero point {code.zero_point}, "
                       f"before it was {ctx.codes[x.name].scale} and {ctx.codes[x.name].zero_point}")
    return replace(quantized(ctx, replace(node, name=f"{x.name}.code", outputs=(f"{x.name}.real",)), replace(x, code=None), code), code=None)


def constant_code(values: np.ndarray, scale: np.ndarray, zero: np.ndarray, axis: int) -> Constant:
    """Constant integers as numbers, with scales for the whole or along an axis."""
    kind = values.dtype.name
    if kind not in INTEGERS:
        raise NetError(f"dequantizes {kind}, must be one of {', '.join(INTEGERS)}")
    whole = values.astype(np.int64)
    per_axis = scale.size > 1 or zero.size > 1
    if per_axis and (not -whole.ndim <= axis < whole.ndim or any(a.size not in (1, whole.shape[axis]) or a.ndim > 1 for a in (scale, zero))):
        raise NetError(f"scales {scale.shape} and zero points {zero.shape} do not fit axis {axis} of {whole.shape}")
    axis = axis % whole.ndim if per_axis else 0
    size = (whole.shape[axis],) if per_axis else ()
    scales, zeros = (np.broadcast_to(a.reshape(-1) if a.size > 1 else a.reshape(()), size) for a in (scale, zero.astype(np.int64)))
    spread = [-1 if index == axis else 1 for index in range(whole.ndim)] if per_axis else [1] * whole.ndim
    numbers = (whole - zeros.reshape(spread)).astype(np.float32) * scales.reshape(spread)
    return Constant(numbers, QuantizedArray(values=whole, scale=scales, zero_point=zeros, bits=INTEGERS[kind][0], signed=INTEGERS[kind][1]), axis)


def carried(node: RawNode, source: Value | None, folded: np.ndarray) -> Constant:
    """A folded constant, with the integers of what it was made from where only their places changed."""
    if not isinstance(source, Constant) or source.quantized is None:
        return Constant(folded)
    values = source.quantized.values
    if node.op == "Identity":
        return source
    if node.op == "Transpose":
        perm = integers(node, "perm", tuple(reversed(range(values.ndim))))
        return Constant(folded, replace(source.quantized, values=values.transpose(perm)), perm.index(source.axis))
    if node.op in ("Reshape", "Flatten", "Squeeze", "Unsqueeze") and not source.quantized.scale.ndim:
        return Constant(folded, replace(source.quantized, values=values.reshape(folded.shape)))
    return Constant(folded)


def _codes(ctx: Lowering, node: RawNode, index: int) -> tuple[np.ndarray, np.ndarray, str | None]:
    """Scale and zero point at inputs `index` and `index` + 1, and the type that the zero point tells."""
    scale = _scale(ctx.optional(node, index, "scale"), "scale")
    zero = ctx.optional(node, index + 1, "zero point")
    if zero is None:
        return scale, np.zeros((), np.int64), None
    if zero.dtype.name not in INTEGERS:
        raise NetError(f"zero point has type {zero.dtype.name}, must be one of {', '.join(INTEGERS)}")
    return scale, zero.astype(np.int64), zero.dtype.name


def _no_blocks(node: RawNode) -> None:
    if integer(node, "block_size", 0):
        raise NetError(f"block_size is {integer(node, 'block_size', 0)}, must be 0: one scale for a tensor or for each channel")


@lowers("QuantizeLinear")
@lowers("QuantizeLinear", domain=MICROSOFT)
def quantize_linear(ctx: Lowering, node: RawNode) -> Value:
    _no_blocks(node)
    scale, zero, kind = _codes(ctx, node, 1)
    wanted = integer(node, "output_dtype", 0)
    kind = kind or (onnx.helper.tensor_dtype_to_np_dtype(wanted).name if wanted else "uint8")
    x = ctx.value(node, 0)
    if isinstance(x, Tensor):
        return quantized(ctx, node, ctx.tensor(node), _one_code(scale, zero, kind))
    if kind not in INTEGERS:
        raise NetError(f"quantizes to {kind}, must be one of {', '.join(INTEGERS)}")
    values = ctx.constant(node, 0, "input").values
    spread = [-1 if index == integer(node, "axis", 1) % values.ndim else 1 for index in range(values.ndim)] if scale.size > 1 else []
    low, high = _range(*INTEGERS[kind])
    rounded = np.rint(values.astype(np.float32) / scale.reshape(spread)) + zero.reshape(spread if zero.size > 1 else [])
    return Constant(np.clip(rounded, low, high).astype(onnx.helper.tensor_dtype_to_np_dtype(_kind_number(kind))))


def _kind_number(kind: str) -> int:
    return int(onnx.TensorProto.DataType.Value(kind.upper()))


@lowers("DequantizeLinear")
@lowers("DequantizeLinear", domain=MICROSOFT)
def dequantize_linear(ctx: Lowering, node: RawNode) -> Value:
    _no_blocks(node)
    scale, zero, _ = _codes(ctx, node, 1)
    x = ctx.value(node, 0)
    if isinstance(x, Constant):
        return constant_code(x.values, scale, zero, integer(node, "axis", 1))
    return dequantized(ctx, node, cast(Tensor, x), scale, zero)


@lowers("DynamicQuantizeLinear")
def dynamic(ctx: Lowering, node: RawNode) -> Value:
    raise NetError("computes its scale from the data, must be calibrated: quantize statically")


def _operand(ctx: Lowering, node: RawNode, index: int, axis: int) -> Value:
    """The number behind the integers at `index`, whose scale and zero point follow."""
    found = ctx.value(node, index)
    scale, zero, _ = _codes(ctx, node, index + 1)
    if isinstance(found, Constant):
        return constant_code(found.values, scale, zero, axis)
    if found is None:
        raise NetError(f"input {index} is missing")
    return dequantized(ctx, node, found, scale, zero)


def _as_float(ctx: Lowering, node: RawNode, op: str, operands: Sequence[Value | None]) -> Tensor:
    """What the float operator makes of these operands; its output is named after the node's, with `.acc`."""
    names = []
    for index, operand in enumerate(operands):
        names.append(f"{node.outputs[0]}.operand{index}" if operand is not None else "")
        if operand is not None:
            ctx.values[names[-1]] = operand
    attributes = {name: value for name, value in node.attributes.items() if name in _ATTRIBUTES}
    inner = RawNode(op=op, domain="", name=node.name, inputs=tuple(names), outputs=(f"{node.outputs[0]}.acc",), attributes=attributes)
    return cast(Tensor, HANDLERS["", op](ctx, inner))


def _requantized(ctx: Lowering, node: RawNode, x: Tensor, index: int) -> Tensor:
    """x in the code at inputs `index` and `index` + 1."""
    scale, zero, kind = _codes(ctx, node, index)
    return quantized(ctx, node, x, _one_code(scale, zero, kind or "uint8"))


def _bias(ctx: Lowering, node: RawNode, index: int, x_scale: np.ndarray, weight: Value) -> Constant | None:
    """An int32 bias, whose scale is the product of the scales of input and weights."""
    if ctx.value(node, index) is None:
        return None
    bias = ctx.constant(node, index, "bias").values
    if not isinstance(weight, Constant) or weight.quantized is None or bias.dtype.name != "int32":
        raise NetError(f"bias has type {bias.dtype.name}, must be int32")
    scale = x_scale.reshape(()) * weight.quantized.scale
    return constant_code(bias.ravel(), scale.astype(np.float32), np.zeros((), np.int64), 0)


@lowers("QLinearConv")
def qlinear_conv(ctx: Lowering, node: RawNode) -> Tensor:
    weight = _operand(ctx, node, 3, 0)
    bias = _bias(ctx, node, 8, _codes(ctx, node, 1)[0], weight)
    return _requantized(ctx, node, _as_float(ctx, node, "Conv", (_operand(ctx, node, 0, 0), weight, bias)), 6)


@lowers("QLinearMatMul")
def qlinear_matmul(ctx: Lowering, node: RawNode) -> Tensor:
    return _requantized(ctx, node, _as_float(ctx, node, "MatMul", (_operand(ctx, node, 0, 0), _operand(ctx, node, 3, -1))), 6)


@lowers("QGemm", domain=MICROSOFT)
def qgemm(ctx: Lowering, node: RawNode) -> Tensor:
    weight = _operand(ctx, node, 3, 0 if integer(node, "transB", 0) else 1)
    bias = _bias(ctx, node, 6, _codes(ctx, node, 1)[0], weight)
    result = _as_float(ctx, node, "Gemm", (_operand(ctx, node, 0, 0), weight, bias))
    return _requantized(ctx, node, result, 7) if ctx.value(node, 7) is not None else result


@lowers("ConvInteger", "MatMulInteger")
def integer_sums(ctx: Lowering, node: RawNode) -> Tensor:
    """Sums of products of integers, as int32."""
    x, weight = ctx.value(node, 0), ctx.constant(node, 1, "weight").values
    zeros = [np.zeros((), np.int64) if zero is None else zero.astype(np.int64) for zero in (ctx.optional(node, 2, "zero point"),
                                                                                            ctx.optional(node, 3, "zero point"))]
    if not isinstance(x, Tensor) or x.code is None:
        raise NetError("input must be integers that depend on the model's input")
    scale = x.code.scale or 1.0
    numbers = dequantized(ctx, node, x, np.array(scale, np.float32), zeros[0])
    factor = constant_code(weight, np.ones((), np.float32), zeros[1], 0 if node.op == "ConvInteger" else -1)
    result = _as_float(ctx, node, "Conv" if node.op == "ConvInteger" else "MatMul", (numbers, factor))
    return replace(result, code=Code(scale, 0, 32, True))


_PLAIN = {"QLinearAdd": ("Add", (0, 3), 6), "QLinearMul": ("Mul", (0, 3), 6), "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,), 3),
          "QLinearAveragePool": ("AveragePool", (0,), 3), "QLinearLeakyRelu": ("LeakyRelu", (0,), 3), "QLinearSigmoid": ("Sigmoid", (0,), 3)}
"""onnxruntime's operators: what they are on numbers, where their operands stand, and where the output's scale stands."""


@lowers(*_PLAIN, domain=MICROSOFT)
def qlinear(ctx: Lowering, node: RawNode) -> Tensor:
    if integer(node, "channels_last", 0):
        raise NetError("channels_last is 1, must be 0")
    op, operands, output = _PLAIN[node.op]
    return _requantized(ctx, node, _as_float(ctx, node, op, [_operand(ctx, node, index, 0) for index in operands]), output)


@lowers("QLinearConcat", domain=MICROSOFT)
def qlinear_concat(ctx: Lowering, node: RawNode) -> Tensor:
    terms = [_operand(ctx, node, index, 0) for index in range(2, len(node.inputs), 3)]
    return _requantized(ctx, node, _as_float(ctx, node, "Concat", terms), 0)


@lowers("Quant", domain=QONNX)
@lowers("Quant", domain="onnx.brevitas")
def qonnx(ctx: Lowering, node: RawNode) -> Value:
    """x, scale, zero point, bit width; 3 bits travel in 4."""
    mode = str(node.attributes.get("rounding_mode", "ROUND"))
    if mode.upper() not in ("ROUND", "HALF_EVEN"):
        raise NetError(f"rounding_mode is {mode!r}, must be ROUND (nearest, ties to even)")
    scale = _scale(ctx.optional(node, 1, "scale"), "scale")
    zero, width = (ctx.constant(node, index, what).values for index, what in ((2, "zero point"), (3, "bit width")))
    if width.size != 1 or float(width.ravel()[0]) not in range(2, 17) or (zero != np.rint(zero)).any():
        raise NetError(f"bit width is {width.ravel()[:4]}, zero point {zero.ravel()[:4]}, must be a whole number 2..16 and whole numbers")
    bits, signed, narrow = int(width.ravel()[0]), bool(integer(node, "signed", 1)), bool(integer(node, "narrow", 0))
    low, high = _range(bits, signed)
    low, high = (low + 1, high) if narrow and signed else (low, high - narrow)
    container = next(size for size in (2, 4, 8, 16) if size >= bits)
    if isinstance(ctx.value(node, 0), Tensor):
        code = replace(_one_code(scale, zero, "int8"), bits=container, signed=signed)
        return replace(quantized(ctx, node, ctx.tensor(node), code, (low, high)), code=None)
    values = ctx.constant(node, 0, "input").values.astype(np.float32)
    whole = np.clip(np.rint(values / scale) + zero, low, high).astype(np.int32)
    axis = next((index for index, size in enumerate(scale.shape[::-1]) if size > 1), 0)
    axis = values.ndim - 1 - axis if scale.size > 1 else 0
    made = constant_code(whole, scale.ravel() if scale.size > 1 else scale.reshape(()), zero.ravel() if zero.size > 1 else zero.reshape(()), axis)
    return replace(made, quantized=replace(cast(QuantizedArray, made.quantized), bits=container, signed=signed))
