"""An ONNX graph as plain Python: nodes in an order of execution, attributes as numbers and arrays, fixed shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np
import onnx
from onnx import numpy_helper

from rpa.net.errors import NetError
from rpa.net.onnx_file import opset_of

ELEMENT_LIMIT = 1 << 27
"""Elements of one activation."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RawNode:
    """A node as the file has it; `inputs` and `outputs` may hold empty names, which stand for nothing."""

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, object] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"`{self.name}` ({self.op})"


@dataclass(frozen=True, kw_only=True, eq=False)
class RawInput:
    """An input of the model; its batch dimension, if it has one, is 1."""

    name: str
    shape: tuple[int, ...]
    kind: np.dtype
    batch: int
    """What the file said the batch is; 0 where it left it open."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RawGraph:
    name: str
    opset: int
    nodes: tuple[RawNode, ...]
    inputs: tuple[RawInput, ...]
    outputs: tuple[str, ...]
    constants: dict[str, np.ndarray]


def to_array(tensor: onnx.TensorProto) -> np.ndarray:
    """A tensor as NumPy: float16 and bfloat16 become float32, integers below 8 bits stay in onnx's own small types."""
    try:
        array = numpy_helper.to_array(tensor)
    except Exception as error:
        raise NetError(f"tensor `{tensor.name}` cannot be read: {str(error)[:200]}") from None
    if array.dtype.name in ("float16", "bfloat16"):
        return array.astype(np.float32)
    return array


def raw_graph(model: onnx.ModelProto, constants: Mapping[str, np.ndarray], shapes: Mapping[str, Sequence[int]], what: str) -> RawGraph:
    """The graph of a model; inputs named in `constants` have these values and are no inputs any more, those in `shapes` have these shapes."""
    graph = model.graph
    values = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    values.update(constants)
    if graph.sparse_initializer:
        raise NetError(f"{what}: has sparse initializers, must have dense ones")
    strange = [name for name in (*constants, *shapes) if name not in {value.name for value in graph.input}]
    if strange:
        raise NetError(f"{what}: has no input `{strange[0]}`, must be one of {', '.join(value.name for value in graph.input)}")
    inputs = tuple(_input(value, shapes.get(value.name), what) for value in graph.input if value.name not in values)
    nodes = _sorted([_node(node, index, what) for index, node in enumerate(graph.node)], {*values, *(value.name for value in inputs)}, what)
    return RawGraph(name=graph.name or "network", opset=opset_of(model, what), nodes=tuple(nodes), inputs=inputs,
                    outputs=tuple(value.name for value in graph.output), constants=values)


def _sizes(value: onnx.ValueInfoProto, given: Sequence[int] | None, what: str) -> list[int]:
    """The shape of an input as the file or the user fixes it; a batch that both leave open is 0."""
    dims = value.type.tensor_type.shape.dim
    sizes = [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else 0 for dim in dims]
    shown = ", ".join(str(dim.dim_value) if dim.HasField("dim_value") else text(dim.dim_param) or "?" for dim in dims)
    if given is not None:
        if len(given) != len(sizes) or any(size and size != own for index, (size, own) in enumerate(zip(sizes, given, strict=True)) if index):
            raise NetError(f"{what}: input `{value.name}` has shape ({shown}), cannot be {tuple(given)}")
        sizes = [int(size) for size in given]
    if any(size < 1 for size in sizes[1:]) or any(dim.HasField("dim_value") and dim.dim_value == 0 for dim in dims):
        raise NetError(f"{what}: input `{value.name}` has shape ({shown}), must be fixed but for the batch; give its shape or export it with one")
    return sizes


def _input(value: onnx.ValueInfoProto, given: Sequence[int] | None, what: str) -> RawInput:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        raise NetError(f"{what}: input `{value.name}` is not a tensor with a shape")
    sizes = _sizes(value, given, what)
    if len(sizes) == 1 and sizes[0] < 1:
        raise NetError(f"{what}: input `{value.name}` has one open dimension, must be fixed")
    shape = (1, *sizes[1:]) if len(sizes) > 1 else tuple(sizes)
    if np.prod(shape, dtype=object) > ELEMENT_LIMIT:
        raise NetError(f"{what}: input `{value.name}` has shape {shape}, must have at most {ELEMENT_LIMIT} elements")
    try:
        kind_of = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    except (KeyError, TypeError, ValueError):
        raise NetError(f"{what}: input `{value.name}` has a type that no network here takes") from None
    return RawInput(name=value.name, shape=shape, kind=kind_of, batch=sizes[0] if len(sizes) > 1 else 1)


def _node(node: onnx.NodeProto, index: int, what: str) -> RawNode:
    op, domain = text(node.op_type), text(node.domain)
    return RawNode(op=op, domain="" if domain == "ai.onnx" else domain, name=text(node.name) or f"{op}_{index}",
                   inputs=tuple(map(text, node.input)), outputs=tuple(map(text, node.output)),
                   attributes={text(attribute.name): _attribute(attribute) for attribute in node.attribute})


def text(value: str | bytes) -> str:
    """A name; protobuf hands out bytes where a file has no proper UTF-8."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _attribute(attribute: onnx.AttributeProto) -> object:
    """Numbers, strings, lists of them, arrays; None for what no operator here has (sub-graphs, types)."""
    kinds = onnx.AttributeProto
    if attribute.type == kinds.TENSOR:
        return to_array(attribute.t) if attribute.t.data_type != onnx.TensorProto.STRING else None
    if attribute.type == kinds.STRING:
        return attribute.s.decode("utf-8", "replace")
    if attribute.type in (kinds.FLOAT, kinds.INT, kinds.FLOATS, kinds.INTS):
        value = onnx.helper.get_attribute_value(attribute)
        return tuple(value) if attribute.type in (kinds.FLOATS, kinds.INTS) else value
    return None


def _sorted(nodes: list[RawNode], known: set[str], what: str) -> list[RawNode]:
    """The nodes in an order in which every input is there before it is read. NetError for cycles and for inputs that nothing gives."""
    producers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in filter(None, node.outputs):
            if name in producers or name in known:
                raise NetError(f"{what}: {node.title} writes `{name}`, which is there already")
            producers[name] = index
    for node in nodes:
        lost = [name for name in node.inputs if name and name not in known and name not in producers]
        if lost:
            raise NetError(f"{what}: {node.title} reads `{lost[0]}`, which is neither an input, an initializer nor the output of a node")
    waits = [{producers[name] for name in node.inputs if name in producers} for node in nodes]
    readers: dict[int, list[int]] = {}
    for index, before in enumerate(waits):
        for other in before:
            readers.setdefault(other, []).append(index)
    ready = [index for index, before in enumerate(waits) if not before]  # sorted, so a heap; the file's order is kept where it can be
    order = []
    while ready:
        index = heappop(ready)
        order.append(nodes[index])
        for reader in readers.get(index, ()):
            waits[reader].discard(index)
            if not waits[reader]:
                heappush(ready, reader)
    if len(order) < len(nodes):
        stuck = [nodes[index].title for index, before in enumerate(waits) if before][:5]
        raise NetError(f"{what}: the graph has a cycle through {', '.join(stuck)}")
    return order
