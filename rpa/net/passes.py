"""Rewriting of the float graph: fewer nodes, the same numbers. Each pass takes a `Draft` and changes it; all stand in `PASSES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import cast

import numpy as np

from rpa.net.graph import CLIPPED, Node, QuantizedArray
from rpa.net.views import Shape

_ZEROS = (0, 0, 0, 0)
_SIXTH = float(np.float32(1 / 6))


class Draft:
    """A graph under change: nodes by name in the order of execution, who writes and who reads each name."""

    def __init__(self, nodes: list[Node], outputs: set[str], shapes: dict[str, Shape], initializers: dict[str, np.ndarray],
                 quantized: dict[str, QuantizedArray]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.outputs, self.shapes, self.initializers, self.quantized = outputs, shapes, initializers, quantized
        self.writers = {node.output: node for node in nodes}
        self._readers: dict[str, dict[str, None]] = {}
        self._serial = 0
        for node in nodes:
            self._link(node)

    def _link(self, node: Node) -> None:
        for name in node.inputs:
            self._readers.setdefault(name, {})[node.name] = None
        self.writers[node.output] = node

    def _unlink(self, node: Node) -> None:
        for name in node.inputs:
            self._readers[name].pop(node.name, None)
        if self.writers.get(node.output) is node:
            del self.writers[node.output]

    def each(self) -> Iterator[Node]:
        """Every node that is still there when its turn comes."""
        for name in list(self.nodes):
            if name in self.nodes:
                yield self.nodes[name]

    def readers(self, name: str) -> list[Node]:
        return [self.nodes[reader] for reader in self._readers.get(name, ())]

    def only_reader(self, name: str) -> Node | None:
        """The one node that reads an activation which is no output of the network."""
        found = self._readers.get(name, {})
        return self.nodes[next(iter(found))] if len(found) == 1 and name not in self.outputs else None

    def swap(self, changes: Mapping[str, Node | None]) -> None:
        """Replace nodes by name; None removes. Initializers that nobody reads any more go."""
        old = [self.nodes[name] for name in changes]
        for node in old:
            self._unlink(node)
        for name, new in changes.items():
            if new is None:
                del self.nodes[name]
            else:
                self.nodes[name] = new
                self._link(new)
        for name in (name for node in old for name in node.inputs if not self._readers[name]):
            self.initializers.pop(name, None)
            self.quantized.pop(name, None)

    def store(self, like: str, values: np.ndarray) -> str:
        """A new initializer, named after another one. Returns an empty name if it is not finite."""
        with np.errstate(over="ignore"):
            kept = np.ascontiguousarray(values, dtype=np.float32)
        if not np.isfinite(kept).all():
            return ""
        self._serial += 1
        name = f"{like.split('@')[0]}@{self._serial}"
        self.initializers[name] = kept
        return name


def is_affine(node: Node, draft: Draft) -> bool:
    """A depthwise 1x1 convolution, stride 1, whatever its pads."""
    a = node.attributes
    return (node.op == "Conv" and a["stride"] == (1, 1) and draft.initializers[node.inputs[1]].shape[1:] == (1, 1, 1)
            and a["groups"] == len(draft.initializers[node.inputs[2]]) and not set(node.inputs[1:]) & draft.quantized.keys())


def fold_affine(draft: Draft) -> bool:
    """scale * Conv(x) + shift becomes the convolution's: batch norm, bias, scalars. True if something changed."""
    changed = False
    for node in draft.each():
        before = draft.writers.get(node.inputs[0])
        if not is_affine(node, draft) or node.attributes["pads"] != _ZEROS or before is None or before.op not in ("Conv", "Gemm"):
            continue
        if before.attributes["clip"] is not None or draft.only_reader(before.output) is not node or set(before.inputs) & draft.quantized.keys():
            continue
        weight, bias = (draft.initializers[name].astype(np.float64) for name in before.inputs[1:3])
        scale, shift = (draft.initializers[name].astype(np.float64).reshape(-1) for name in node.inputs[1:3])
        names = (draft.store(before.inputs[1], weight * scale[:, None, None, None]), draft.store(before.inputs[2], bias * scale + shift))
        if not all(names):
            continue
        merged = replace(before, inputs=(before.inputs[0], *names), outputs=node.outputs,
                         attributes={**before.attributes, "clip": node.attributes["clip"]})
        draft.swap({before.name: merged, node.name: None})
        changed = True
    return changed


def fold_pad(draft: Draft) -> bool:
    """Zeros put around an image become the pads of the convolutions and pools that read it."""
    changed = False
    for node in draft.each():
        pads = node.attributes.get("pads")
        if not is_affine(node, draft) or pads == _ZEROS or not _is_identity(node, draft) or node.output in draft.outputs:
            continue
        readers = draft.readers(node.output)
        if readers and all(_takes_pads(reader, node, draft) for reader in readers):
            draft.swap({node.name: None, **{reader.name: _with_pads(reader, node) for reader in readers}})
            changed = True
    return changed


def _is_identity(node: Node, draft: Draft) -> bool:
    return bool((draft.initializers[node.inputs[1]] == 1).all() and not draft.initializers[node.inputs[2]].any() and node.attributes["clip"] is None)


def _takes_pads(reader: Node, pad: Node, draft: Draft) -> bool:
    if reader.op == "Conv":
        return True
    if reader.op == "AveragePool":  # its own pads must count as well
        kernel, pads = cast("tuple[int, int]", reader.attributes["kernel"]), _added(reader, pad)
        return bool(reader.attributes["count_include_pad"]) and all(max(pads[i], pads[2 + i]) < kernel[i] for i in (0, 1))
    if reader.op == "MaxPool":  # a padded zero is never above a value that is not negative
        kernel, pads = cast("tuple[int, int]", reader.attributes["kernel"]), _added(reader, pad)
        return _never_negative(pad.inputs[0], draft) and all(max(pads[i], pads[2 + i]) < kernel[i] for i in (0, 1))
    return False


def _never_negative(name: str, draft: Draft) -> bool:
    writer = draft.writers.get(name)
    clip = writer.attributes.get("clip") if writer else None
    return clip is not None and cast("tuple[float, float]", clip)[0] >= 0


def _added(reader: Node, pad: Node) -> tuple[int, ...]:
    both = (cast("tuple[int, ...]", node.attributes["pads"]) for node in (reader, pad))
    return tuple(a + b for a, b in zip(*both, strict=True))


def _with_pads(reader: Node, pad: Node) -> Node:
    return replace(reader, inputs=(pad.inputs[0], *reader.inputs[1:]), attributes={**reader.attributes, "pads": _added(reader, pad)})


def fold_before(draft: Draft) -> bool:
    """Conv(scale * x + shift) becomes one convolution: normalised inputs. With a shift only where the convolution does not pad."""
    changed = False
    for node in draft.each():
        if not is_affine(node, draft) or node.attributes["pads"] != _ZEROS or node.attributes["clip"] is not None:
            continue
        reader = draft.only_reader(node.output)
        if reader is None or reader.op not in ("Conv", "Gemm") or set(reader.inputs) & draft.quantized.keys():
            continue
        scale, shift = (draft.initializers[name].astype(np.float64).reshape(-1) for name in node.inputs[1:3])
        if shift.any() and reader.attributes.get("pads", _ZEROS) != _ZEROS:
            continue
        weight, bias = (draft.initializers[name].astype(np.float64) for name in reader.inputs[1:3])
        groups = cast(int, reader.attributes.get("groups", 1))
        by_output = [np.repeat(values.reshape(groups, -1), len(weight) // groups, axis=0)[:, :, None, None] for values in (scale, shift)]
        names = (draft.store(reader.inputs[1], weight * by_output[0]),
                 draft.store(reader.inputs[2], bias + (weight * by_output[1]).sum(axis=(1, 2, 3))))
        if not all(names):
            continue
        draft.swap({node.name: None, reader.name: replace(reader, inputs=(node.inputs[0], *names))})
        changed = True
    return changed


def fuse_clip(draft: Draft) -> bool:
    """A clip goes into the node before it, where that has one or can have one."""
    changed = False
    for node in draft.each():
        before = draft.writers.get(node.inputs[0])
        if node.op != "Clip" or before is None or before.op not in (*CLIPPED, "Clip") or draft.only_reader(before.output) is not node:
            continue
        low, high = cast("tuple[float, float]", node.attributes["clip"])
        first = cast("tuple[float, float] | None", before.attributes["clip"])
        clip = (low, high) if first is None else (min(max(first[0], low), high), min(max(first[1], low), high))
        draft.swap({before.name: replace(before, outputs=node.outputs, attributes={**before.attributes, "clip": clip}), node.name: None})
        changed = True
    return changed


def fuse_swish(draft: Draft) -> bool:
    """x * Sigmoid(x) and x * HardSigmoid(x) are functions of one number."""
    changed = False
    for node in draft.each():
        if node.op != "Mul" or node.attributes["clip"] is not None:
            continue
        for x, gate in (node.inputs, node.inputs[::-1]):
            made = draft.writers.get(gate)
            if made is None or made.inputs != (x,) or draft.only_reader(gate) is not node:
                continue
            a = made.attributes
            hard = made.op == "HardSigmoid" and abs(cast(float, a["alpha"]) - 1 / 6) < 1e-6 and a["beta"] == 0.5
            if made.op == "Sigmoid" or hard:
                fused = replace(node, op="HardSwish" if hard else "Silu", inputs=(x,), attributes={})
                draft.swap({made.name: None, node.name: fused})
                changed = True
    return changed


def fuse_hard_swish(draft: Draft) -> bool:
    """x * clip(x + 3, 0, 6) / 6, as several exporters write it."""
    changed = False
    for node in draft.each():
        if node.op != "Mul" or node.attributes["clip"] is not None:
            continue
        last = draft.only_reader(node.output)
        for x, gate in (node.inputs, node.inputs[::-1]):
            made = draft.writers.get(gate)
            if made is None or last is None or made.inputs[0] != x or draft.only_reader(gate) is not node or not is_affine(made, draft):
                continue
            if _numbers(made, draft) == (1.0, 3.0, (0.0, 6.0)) and is_affine(last, draft) and _numbers(last, draft) == (_SIXTH, 0.0, None):
                draft.swap({made.name: None, node.name: None, last.name: replace(last, op="HardSwish", inputs=(x,), attributes={})})
                changed = True
                break
    return changed


def _numbers(node: Node, draft: Draft) -> tuple[float, float, object] | None:
    """Scale, shift and clip of an affine node that treats all channels alike and pads nothing."""
    if node.attributes["pads"] != _ZEROS:
        return None
    scale, shift = (draft.initializers[name].reshape(-1) for name in node.inputs[1:3])
    if (scale != scale[0]).any() or (shift != shift[0]).any():
        return None
    return float(scale[0]), float(shift[0]), node.attributes["clip"]


def fuse_quant(draft: Draft) -> bool:
    """A narrower range behind the same quantization."""
    changed = False
    for node in draft.each():
        before = draft.writers.get(node.inputs[0])
        if node.op != "Quant" or before is None or before.op != "Quant" or draft.only_reader(before.output) is not node:
            continue
        a, b = before.attributes, node.attributes
        if all(a[name] == b[name] for name in ("scale", "zero_point", "bits", "signed")) and a["low"] <= b["low"] <= b["high"] <= a["high"]:  # type: ignore[operator]
            draft.swap({before.name: None, node.name: replace(node, inputs=before.inputs)})
            changed = True
    return changed


def drop_dead(draft: Draft) -> bool:
    """Nodes that no output depends on. Always False: it makes nothing else possible."""
    for node in reversed(list(draft.nodes.values())):
        if node.output not in draft.outputs and not draft.readers(node.output):
            draft.swap({node.name: None})
    return False


PASSES: tuple[Callable[[Draft], bool], ...] = (drop_dead, fold_affine, fold_pad, fuse_clip, fuse_swish, fuse_hard_swish, fuse_quant, fold_before)


def normalise(draft: Draft) -> None:
    """Every pass until none of them changes anything."""
    while any([one(draft) for one in PASSES]):
        pass
    drop_dead(draft)
