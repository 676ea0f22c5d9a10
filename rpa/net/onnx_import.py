"""From ONNX to the float graph.

Every node is either computed at once (constants), read as another view of the same activation (reshapes, transpositions), translated
by its handler, or refused. All refusals of a model come in one error. Then `rpa.net.passes` make few nodes of many.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx

from rpa.net import lower_arithmetic, lower_linear, lower_pool, lower_quantized, lower_scalar, lower_shape
from rpa.net.constants import FOLDED, fold
from rpa.net.errors import NetError, grouped
from rpa.net.graph import Graph, Layout
from rpa.net.integer import HostStep
from rpa.net.lowering import HANDLERS, Constant, Lowering, Relay, Value
from rpa.net.onnx_file import check_model, read_model
from rpa.net.onnx_raw import RawGraph, RawInput, RawNode, raw_graph
from rpa.net.passes import Draft, normalise
from rpa.net.views import Shape, Tensor, fresh

HANDLER_MODULES = (lower_arithmetic, lower_linear, lower_pool, lower_quantized, lower_scalar, lower_shape)
"""Importing them fills `HANDLERS`."""
REFUSALS_SHOWN = 50


def load_onnx(source: str | os.PathLike[str] | bytes | onnx.ModelProto, *, constants: Mapping[str, np.ndarray] | None = None,
              shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
    """The normalised float graph of an ONNX model.

    source: a path, the bytes of a file, or a model. The batch, whatever the file says it is, is taken as 1: the array computes one
    image at a time. constants: inputs of the model whose values are fixed. shapes: shapes of inputs, batch included, that the file leaves
    open in part.
    Raises NetError, which names the file and every node that cannot be translated, with the reason. The file is not trusted: see
    `rpa.net.onnx_file`.
    """
    what = os.fspath(source) if isinstance(source, str | os.PathLike) else "the model"
    model = read_model(source)
    raw = raw_graph(model, constants or {}, shapes or {}, what)  # before the checker, as its own messages name nodes
    check_model(model, what)
    if not raw.inputs:
        raise NetError(f"{what}: has no input")
    layouts: dict[str, tuple[Layout, Shape]] = {}
    for _ in range(1 + len(raw.inputs)):
        try:
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # what is not finite is refused where it is kept
                return _translated(raw, layouts, what)
        except Relay as wish:
            if wish.name in layouts:
                raise NetError(f"{what}: input `{wish.name}` is used in two ways that need different layouts") from None
            layouts[wish.name] = (wish.layout, wish.shape)
    raise AssertionError("an input was laid out twice")


def _translated(raw: RawGraph, layouts: Mapping[str, tuple[Layout, Shape]], what: str) -> Graph:
    ctx = Lowering(opset=raw.opset, values={name: Constant(values) for name, values in raw.constants.items()},
                   batches=frozenset(value.batch for value in raw.inputs), last=_last(raw))
    for value in raw.inputs:
        _declare(ctx, value, layouts.get(value.name), what)
    faults: list[str] = []
    for node in raw.nodes:
        fault = _translate(ctx, node)
        if fault is not None:
            faults.append(f"{node.title}: {fault}")
    if faults:
        more = f"\n  and {len(faults) - REFUSALS_SHOWN} more" if len(faults) > REFUSALS_SHOWN else ""
        raise NetError(f"{what}: {len(faults)} of {len(raw.nodes)} nodes cannot be translated:\n{grouped(faults[:REFUSALS_SHOWN])}{more}")
    return _finished(ctx, raw, what)


def _last(raw: RawGraph) -> dict[str, str]:
    """See `Lowering.last`."""
    readers: dict[str, list[RawNode]] = {}
    for node in raw.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    found = {name: name for name in raw.outputs if name not in readers}
    for node in reversed(raw.nodes):
        if node.op in ("Identity", "Dropout") and node.outputs[0] in found and readers[node.inputs[0]] == [node]:
            found[node.inputs[0]] = found[node.outputs[0]]
    return found


def _declare(ctx: Lowering, value: RawInput, placed: tuple[Layout, Shape] | None, what: str) -> None:
    """Make an input known, as numbers or as integers whose scale is not known yet."""
    try:
        tensor = fresh(value.name, value.shape) if placed is None else Tensor(value.name, placed[1], placed[0])
    except NetError as error:
        raise NetError(f"{what}: input `{value.name}`: {error}") from None
    ctx.sources[value.name] = tensor
    ctx.values[value.name] = lower_quantized.undetermined(tensor, value.kind) if value.kind.kind != "f" else tensor
    ctx.shapes[ctx.unique(value.name)] = tensor.shape


def _translate(ctx: Lowering, node: RawNode) -> str | None:
    """Make the outputs of a node known. Returns why not, if so; nothing for nodes behind a refused one, unless nobody could translate them."""
    handler = HANDLERS.get((node.domain, node.op))
    try:
        if not all(name in ctx.values for name in node.inputs if name):
            return None if handler or fold_is_known(node) else _unknown(node)
        found = [ctx.values[name] if name else None for name in node.inputs]
        if all(value is None or isinstance(value, Constant) for value in found):
            arrays = [value.values if isinstance(value, Constant) else None for value in found]
            folded = fold(node, arrays, ctx.opset)
            if folded is not None:
                ctx.values[node.outputs[0]] = lower_quantized.carried(node, found[0] if found else None, folded)
                return None
        if handler is None:
            return _unknown(node)
        results: Value | tuple[Value, ...] = handler(ctx, node)
        for name, value in zip(node.outputs, results if isinstance(results, tuple) else (results,), strict=False):
            ctx.values[name] = value
        return None
    except NetError as error:
        return str(error)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # shapes and types that no handler foresees
        return f"its inputs and attributes contradict each other ({type(error).__name__}: {str(error)[:200]})"


def fold_is_known(node: RawNode) -> bool:
    """Whether the operator has a meaning if all its inputs are constants."""
    return not node.domain and node.op in FOLDED


def _unknown(node: RawNode) -> str:
    domain = f" of `{node.domain}`" if node.domain else ""
    return f"operator{domain} is not supported"


def _finished(ctx: Lowering, raw: RawGraph, what: str) -> Graph:
    outputs: dict[str, Tensor] = {}
    host: list[HostStep] = []
    for name in raw.outputs:
        value = ctx.values.get(name)
        if not isinstance(value, Tensor):
            raise NetError(f"{what}: output `{name}` does not depend on the input")
        if value.name in outputs or (value.name in ctx.sources and value.name in ctx.values):
            value = _copied(ctx, value, name)
        if name in ctx.host:
            host.append(replace(ctx.host[name], source=value.name))
        outputs[value.name] = value
        if value.code is not None:
            ctx.codes[value.name] = value.code
    draft = Draft(ctx.nodes, set(outputs), ctx.shapes, ctx.initializers, ctx.quantized)
    normalise(draft)
    inputs = tuple(value.name for value in raw.inputs)
    kept = {*inputs, *(node.output for node in draft.nodes.values())}
    layouts = {name: ctx.sources[name].layout for name in inputs} | {name: tensor.layout for name, tensor in outputs.items()}
    return Graph(name=raw.name, nodes=tuple(draft.nodes.values()), inputs=inputs, outputs=tuple(outputs),
                 shapes={name: shape for name, shape in draft.shapes.items() if name in kept}, initializers=draft.initializers,
                 quantized=draft.quantized, layouts=layouts, codes=ctx.codes, host=tuple(host))


def _copied(ctx: Lowering, value: Tensor, name: str) -> Tensor:
    """The same numbers as an activation of its own: a pool of one element."""
    node = RawNode(op="Identity", domain="", name=f"{name}.copy", inputs=(value.name,), outputs=(name,))
    value = lower_quantized.as_itself(ctx, node, value)
    attributes: dict[str, object] = {"kernel": (1, 1), "stride": (1, 1), "pads": (0, 0, 0, 0)}
    return replace(ctx.like("MaxPool", node, value, attributes=attributes), code=value.code)


def summary(graph: Graph) -> str:
    """One line: how many nodes of each operator, how many parameters."""
    counts = Counter(node.op for node in graph.nodes)
    return f"{graph.name}: " + ", ".join(f"{count} {op}" for op, count in counts.most_common()) + \
        f"; {sum(values.size for values in graph.initializers.values())} parameters"
