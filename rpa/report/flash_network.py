"""Networks with layers on NOR-flash macros: from a name and options to a `FlashNet` with images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from rpa.flash.mapping import Encoding
from rpa.flash.network import ALL, FlashNet, Placement, joins_channels
from rpa.flash.spec import MacroSpec
from rpa.net.border import features_of
from rpa.net.integer import IntNet, Mac
from rpa.report.backends import ReportError
from rpa.report.network_source import NetworkSource, open_network


@dataclass(frozen=True, kw_only=True, eq=False)
class FlashSource:
    """An integer network with images as it takes them."""

    source: NetworkSource = field(repr=False)
    net: IntNet = field(repr=False)
    calibration: dict[str, np.ndarray] = field(repr=False)
    test: dict[str, np.ndarray] = field(repr=False)


def open_flash(model: str, widths: str = "8", *, calibration: np.ndarray | None = None) -> FlashSource:
    """A network by name or file, quantized to `widths` unless it has integers of its own. ReportError where no images are known."""
    source = open_network(model, calibration=calibration, typical=True)
    typical = source.test if source.calibration is None else source.calibration
    if typical is None or source.test is None:
        raise ReportError(f"{model}: give typical images, real numbers (N, C, H, W) (--calibration FILE.npy); none are known for it")
    name = source.graph.inputs[0]
    if source.graph.quantized:
        from rpa.net.qdq import to_integer

        net = to_integer(source.graph)
        given = [features_of(source.graph, net, {name: images}) for images in (typical, source.test)]
    else:
        from rpa.quant.front import quantize

        quantized = quantize(source.graph, typical, widths)
        net, given = quantized.net, [quantized.to_integers(images) for images in (typical, source.test)]
    return FlashSource(source=source, net=net, calibration=given[0], test=given[1])


def place(net: IntNet, spec: MacroSpec, *, layers: str = ALL, encoding: str = "differential", seed: int = 0, line: int = 16) -> FlashNet:
    """Some layers, names with commas between them or "all", on macros; `conv2` also means `conv2.1`, as the importer calls what it has split."""
    joining = [node.name for node in net.nodes if isinstance(node, Mac) and any(map(joins_channels, node.terms))]
    one = Placement(encoding=Encoding[encoding.upper()])
    wanted = joining if layers == ALL else [node for name in layers.split(",") for node in _nodes(name.strip(), net)]
    return FlashNet(net, dict.fromkeys(wanted, one), spec, seed=seed, line=line)


def _nodes(name: str, net: IntNet) -> list[str]:
    """The node of this name, else those that the importer made of it; a name that is unknown as it is."""
    known = [node.name for node in net.nodes if isinstance(node, Mac)]
    return [name] if name in known else [node for node in known if name and node.startswith(f"{name}.")] or [name]


def with_sizes(spec: MacroSpec, *, rows: int, cols: int, cell_bits: int, dac_bits: int, adc_bits: int) -> MacroSpec:
    """A spec with other sizes."""
    return replace(spec, rows=rows, cols=cols, cell_bits=cell_bits, dac=replace(spec.dac, bits=dac_bits), adc=replace(spec.adc, bits=adc_bits))


def accuracy(flash: FlashNet, source: FlashSource) -> float | None:
    """Per cent of the test images that are recognized; None without labels."""
    if source.source.labels is None:
        return None
    scores = flash.run_many(source.test)[source.net.outputs[0]]
    return 100 * float((scores.reshape(len(scores), -1).argmax(axis=1) == source.source.labels).mean())
