"""What depthwise layers on the mesh save: cycles by kind of layer, against two broadcast forms, and the most that could be saved."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.networks import smooth_images
from rpa import models
from rpa.compile.compiled import CompiledNet, compile_net
from rpa.compile.explain import least_cycles
from rpa.models.registry import NETWORKS
from rpa.net import reference
from rpa.net.integer import IntNet, Mac, Node, Term
from rpa.net.onnx_import import load_onnx
from rpa.quant.front import Calibrated
from rpa.quant.options import Options

WIDTHS = ("16", "8", "4", "2")
NAMES = ("ds_cnn", "mobilenet_v1_025")
TARGET = 4.0
"""Times fewer cycles than with depthwise layers as ordinary convolutions."""


def main(names: tuple[str, ...] = NAMES) -> int:
    """Print a line for each network and width; 1 if a target is missed or an integer is wrong."""
    print("cycles of the whole network, and of its depthwise, pointwise and other layers:")
    print("network            bits       mesh (dw + pw + rest)          blocks (dw)      times  at most    ever        dense (dw)      times  equal")
    missed = False
    for name in names:
        images = smooth_images(NETWORKS[name].input_shape)
        calibrated = Calibrated(load_onnx(models.build(name)), images)
        for widths in WIDTHS:
            quantized = calibrated.quantize(widths, Options())
            image = {key: values[0] for key, values in quantized.to_integers(images[:1]).items()}
            missed |= _line(name, widths, quantized.net, image)
    return int(missed)


def _line(name: str, widths: str, net: IntNet, image: dict[str, np.ndarray]) -> bool:
    """Print a line; whether a target is missed or an integer is wrong."""
    mesh, blocks, dense = compile_net(net), compile_net(net, broadcast_only=True), compile_net(as_dense(net), broadcast_only=True)
    parts, in_blocks, in_dense = (cycles_by_kind(made, [kind(node) for node in net.nodes]) for made in (mesh, blocks, dense))
    expected = reference.run(net, image)
    equal = all(np.array_equal(values, expected[key]) for made in (mesh, blocks, dense) for key, values in made.run(image).features.items())
    total, rest = mesh.report.cycles, mesh.report.cycles - parts["dw"]
    least = least_cycles_of_others(mesh)
    short = dense.report.cycles < TARGET * total
    print(f"{name:18} {widths:>4} {total:>8,} ({parts['dw']:>6,} + {parts['pw']:>6,} + {parts['rest']:>5,}) "
          f"{blocks.report.cycles:>9,} ({in_blocks['dw']:>6,}) {blocks.report.cycles / total:>7.2f} {(in_blocks['dw'] + rest) / rest:>8.2f} "
          f"{(in_blocks['dw'] + least) / least:>7.2f} "
          f"{dense.report.cycles:>9,} ({in_dense['dw']:>7,}) {dense.report.cycles / total:>7.2f}  {'yes' if equal else 'NO'}"
          f"{'  below its target' if short else ''}", flush=True)
    return short or not equal


def kind(node: Node) -> str:
    """`dw` for a depthwise 3x3 convolution, `pw` for a 1x1 convolution, `rest`."""
    if not isinstance(node, Mac) or len(node.terms) != 1:
        return "rest"
    weight, groups = node.terms[0].weight, node.terms[0].groups
    if weight.shape[1:3] == (1, 1):
        return "pw"
    return "dw" if groups > 1 and weight.shape[1:] == (3, 3, 1) else "rest"


def cycles_by_kind(compiled: CompiledNet, kinds: Sequence[str]) -> Counter[str]:
    """Cycles of all layers of a kind; all of them together are the run's. kinds: of every node."""
    found: Counter[str] = Counter()
    for name, layer in zip(kinds, compiled.report.layers, strict=True):
        found[name] += layer.cycles
    return found


def least_cycles_of_others(compiled: CompiledNet) -> float:
    """Cycles of all layers but the depthwise ones if every lane of every PE worked in each, or the drain gave a row of results in each."""
    config, features = compiled.config, compiled.net.features
    return sum(max(least_cycles(compiled.net, node, config), np.prod(features[node.output].shape) / config.cols)
               for node in compiled.net.nodes if kind(node) != "dw")


def as_dense(net: IntNet) -> IntNet:
    """The same network with every depthwise 3x3 layer as an ordinary convolution: all channels, zeros between them."""
    return replace(net, nodes=tuple(_dense(node) if isinstance(node, Mac) and kind(node) == "dw" else node for node in net.nodes))


def _dense(node: Mac) -> Mac:
    term: Term = node.terms[0]
    channels = len(term.weight)
    weight = np.zeros((channels, 3, 3, channels), np.int64)
    weight[np.arange(channels), :, :, np.arange(channels)] = term.weight[..., 0]
    return replace(node, terms=(replace(term, weight=weight, groups=1),))


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or NAMES))
