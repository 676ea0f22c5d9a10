"""Widths layer by layer ("dynamic quantization"): the cheapest assignment whose measured error stays within a budget.

1. Layers that read the same tensor go together, as it is stored once. Sensitivity: each alone goes to each narrower width, all others at the
   widest; its price is what the outputs' squared relative error grows by.
2. Errors of different layers add, nearly. For every exchange rate between cost and error each layer has one best width; going through
   all rates gives the assignments on the convex hull, cheapest last.
3. The sum is an estimate, so assignments are measured: bisection along the hull, then single further steps as long as one fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from rpa.net.float_run import run_float
from rpa.net.graph import Graph
from rpa.quant.blocks import MacBlock
from rpa.quant.calibrate import checked_images
from rpa.quant.errors import QuantError
from rpa.quant.front import Calibrated, Images
from rpa.quant.fuse import WEIGHTED
from rpa.quant.options import Options
from rpa.quant.report import Comparison, compare
from rpa.quant.scales import container_of
from rpa.quant.statistics import share_formats
from rpa.quant.widths import Width, WidthTable, parse_widths

Cost = Callable[[str, Width], float]
"""(layer, width) -> what it costs, such as cycles."""
IMAGES = 64
"""Calibration images that sensitivities are measured on, at most, where no others are given."""


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """One layer, with those that read the same tensor, at one width, all others at the widest."""

    layer: str
    width: Width
    error: float
    """What the squared relative error of the outputs grows by; at least 0."""
    cost: float


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """A table of widths and what it costs."""

    table: WidthTable
    comparison: Comparison
    """Measured, on the images that were given."""
    cost: float
    widest_cost: float
    """Of all layers at the widest."""
    sensitivities: tuple[Sensitivity, ...]
    measured: int
    """Assignments that were run."""

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "table": self.table.to_toml()}


def lanes_cost(graph: Graph) -> Cost:
    """Multiplications of a layer divided by those that a PE does in a cycle: what an array that is always busy takes."""
    macs = {}
    for node in graph.nodes:
        if node.op in WEIGHTED:
            channels, height, width = graph.shapes[node.output]
            macs[node.name] = graph.initializers[node.inputs[1]][0].size * channels * height * width

    def cost(layer: str, width: Width) -> float:
        return macs.get(layer, 0) * max(container_of(width.act_bits), container_of(width.weight_bits)) / 16

    return cost


def readers_together(calibrated: Calibrated, layers: Sequence[str]) -> dict[str, list[str]]:
    """Layers that read the same stored tensor, under the first of them: it is stored once, so they have one width."""
    shared = share_formats(calibrated.blocks)
    first: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    for layer in layers:
        inputs = [shared[part.input] for block in calibrated.blocks if isinstance(block, MacBlock) for part in block.parts
                  if part.node == layer and not part.exact]
        leader = next((first[name] for name in inputs if name in first), layer)
        first.update(dict.fromkeys(inputs, leader))
        found.setdefault(leader, []).append(layer)
    return found


class _Measured:
    """Assignments and what running them gave, each run once."""

    def __init__(self, calibrated: Calibrated, images: Mapping[str, np.ndarray], labels: np.ndarray | None, options: Options, widest: Width,
                 together: Mapping[str, Sequence[str]]) -> None:
        self._calibrated, self._images, self._labels, self._options, self._widest = calibrated, images, labels, options, widest
        self._together = together
        self._floats = run_float(calibrated.graph, images)
        self.known: dict[tuple[tuple[str, Width], ...], Comparison] = {}

    def table(self, assignment: Mapping[str, Width]) -> WidthTable:
        narrowed = {first: width for first, width in assignment.items() if width != self._widest}
        return WidthTable(self._widest, {layer: width for first, width in narrowed.items() for layer in self._together[first]})

    def __call__(self, assignment: Mapping[str, Width]) -> Comparison:
        table = self.table(assignment)
        key = tuple(table.layers.items())
        if key not in self.known:
            converted = self._calibrated.convert(table, self._options)
            self.known[key] = compare(self._calibrated.graph, converted, self._images, self._labels, self._floats, fake=False)
        return self.known[key]


def choose_widths(calibrated: Calibrated, candidates: Sequence[str | Width] = ("8", "4", "2"), *, max_relative_error: float | None = None,
                  max_accuracy_loss: float | None = None, images: Images | None = None, labels: np.ndarray | None = None, cost: Cost | None = None,
                  options: Options | None = None) -> Mixed:
    """The cheapest widths within a budget.

    candidates: widths that a layer may have, the widest first; it is also the width of layers without weights. Budget: `max_relative_error` of the
    outputs, or `max_accuracy_loss` (a share: 0.01 is one per cent) against the float network on `images` with `labels`; both may be given.
    cost: by default multiplications per lane. Raises QuantError if there is no budget, or if the widest width already exceeds it.
    """
    widths = [one if isinstance(one, Width) else parse_widths(one).default for one in candidates]
    if not widths or (max_relative_error is None and max_accuracy_loss is None):
        raise QuantError("give at least one width, and a budget: max_relative_error or max_accuracy_loss")
    if max_accuracy_loss is not None and (images is None or labels is None):
        raise QuantError("max_accuracy_loss needs images and labels to measure it on")
    graph, options = calibrated.graph, options or Options()
    given = checked_images(graph, images, "images") if images is not None else {name: values[:IMAGES] for name, values in calibrated.images.items()}
    weighted = {node.name for node in graph.nodes if node.op in WEIGHTED}
    together = readers_together(calibrated, [layer for layer in calibrated.layers if layer in weighted])
    layers, each = list(together), cost or lanes_cost(graph)
    measure = _Measured(calibrated, given, labels, options, widths[0], together)

    def price(layer: str, width: Width) -> float:
        return sum(each(one, width) for one in together[layer])

    def fits(found: Comparison) -> bool:
        error_fits = max_relative_error is None or found.relative_error_integer <= max_relative_error
        loss = (found.accuracy_float or 0.0) - (found.accuracy_integer or 0.0)
        return error_fits and (max_accuracy_loss is None or loss <= max_accuracy_loss)

    base = measure({})
    if not fits(base):
        raise QuantError(f"all layers at {widths[0]} already have a relative error of {base.relative_error_integer:.3g}"
                         + (f" and lose {(base.accuracy_float or 0) - (base.accuracy_integer or 0):.3g} accuracy" if labels is not None else "")
                         + "; allow more, or give a wider width first")
    table = _sensitivities(layers, widths, base, measure, price)
    path = hull(table, layers, widths)
    low, high = 0, len(path) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(measure(path[middle])) else (low, middle - 1)
    chosen = _further_steps(path[low], table, layers, measure, fits)
    return Mixed(table=measure.table(chosen), comparison=measure(chosen), cost=sum(price(layer, chosen[layer]) for layer in layers),
                 widest_cost=sum(price(layer, widths[0]) for layer in layers), sensitivities=tuple(table.values()), measured=len(measure.known))


def _sensitivities(layers: Sequence[str], widths: Sequence[Width], base: Comparison, measure: _Measured,
                   cost: Cost) -> dict[tuple[str, Width], Sensitivity]:
    result = {}
    for layer in layers:
        for width in widths:
            error = measure({layer: width}).relative_error_integer ** 2 - base.relative_error_integer**2
            result[layer, width] = Sensitivity(layer=layer, width=width, error=max(0.0, error), cost=float(cost(layer, width)))
    return result


def hull(table: Mapping[tuple[str, Width], Sensitivity], layers: Sequence[str], widths: Sequence[Width]) -> list[dict[str, Width]]:
    """Assignments from the widest to the cheapest, each the best for some exchange rate between cost and error: one layer changes at a time."""
    moves: list[tuple[float, str, Width]] = []
    for layer in layers:
        current = table[layer, widths[0]]
        while True:
            cheaper = [table[layer, width] for width in widths if table[layer, width].cost < current.cost]
            if not cheaper:
                break
            rate, _, chosen = min((max(0.0, one.error - current.error) / (current.cost - one.cost), one.cost, one) for one in _ordered(cheaper))
            moves.append((rate, layer, chosen.width))
            current = chosen
    path = [dict.fromkeys(layers, widths[0])]
    for _, layer, width in sorted(moves, key=lambda move: move[0]):
        path.append({**path[-1], layer: width})
    return path


def _ordered(rows: Sequence[Sensitivity]) -> list[Sensitivity]:
    """One row for each cost, that of the least error."""
    best: dict[float, Sensitivity] = {}
    for row in rows:
        if row.cost not in best or row.error < best[row.cost].error:
            best[row.cost] = row
    return list(best.values())


def _further_steps(start: dict[str, Width], table: Mapping[tuple[str, Width], Sensitivity], layers: Sequence[str], measure: _Measured,
                   fits: Callable[[Comparison], bool]) -> dict[str, Width]:
    """Cheaper widths of single layers, the largest saving first, as far as each is measured to fit; each layer is tried once."""
    chosen = dict(start)
    savings = sorted(((table[layer, chosen[layer]].cost - row.cost, layer, row.width) for (layer, _), row in table.items()
                      if row.cost < table[layer, chosen[layer]].cost), key=lambda entry: -entry[0])
    for _, layer, width in savings:
        if chosen[layer] == start[layer] and fits(measure({**chosen, layer: width})):
            chosen[layer] = width
    return chosen
