"""The mapping of a convolution onto the array: all that fit the banks are costed, the fastest is taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rpa.arch.config import ArrayConfig
from rpa.compile.cost import Cost, estimate
from rpa.compile.errors import CompileError
from rpa.compile.layout import Placed, align
from rpa.compile.reduction import Reduction
from rpa.compile.tiling import Shape, TermPlan, Tiling, chunk_sizes, origins, segment_origins, term_plan, tilings

_SLACK = 16
"""Words behind a tile that steps with zero weights may read."""


@dataclass(frozen=True, eq=False)
class ConvPlan:
    """A mapping and what it is expected to cost."""

    shape: Shape
    cost: Cost


def choose(reductions: tuple[Reduction, ...], output: Placed, config: ArrayConfig, name: str, waits: int = 0, most: int = 1) -> list[ConvPlan]:
    """The `most` best mappings: the fewest cycles first, then the least external traffic. `waits`: see `estimate`.

    Raises CompileError if none fits the banks.
    """
    plans = sorted(_candidates(reductions, output, config, waits), key=lambda plan: plan.cost.key)
    if not plans:
        raise CompileError(f"`{name}`: no tile of this layer fits the banks (half of a_depth {config.a_depth} and of w_depth {config.w_depth}); "
                           "use deeper banks or narrower operands")
    return plans[:most]


def _candidates(reductions: tuple[Reduction, ...], output: Placed, config: ArrayConfig, waits: int) -> Iterator[ConvPlan]:
    height, width, channels = output.feature.shape
    groups = -(-channels // config.cols)
    sizes = [chunk_sizes(reduction, config) for reduction in reductions]
    for tiling, across, passes in tilings(height, width, config):
        columns, rows = origins(width, min(tiling.columns, width), across), origins(height, tiling.rows, passes)
        starts = sorted({start for first in columns for start in segment_origins(width, tiling, first)})
        for level in range(max(map(len, sizes))):
            words = [options[0] if level == 0 else options[max(1, len(options) - level)] if len(options) > 1 else options[0] for options in sizes]
            grouped = any(reduction.term.groups > 1 for reduction in reductions)
            for whole in (True, False) if grouped and groups > 1 else (grouped,):
                terms = tuple(term_plan(reduction, tiling, starts, size, config, whole=whole)
                              for reduction, size in zip(reductions, words, strict=True))
                yield from _orders(terms, tiling, columns, rows, groups, output, config, waits)


def _orders(terms: tuple[TermPlan, ...], tiling: Tiling, columns: tuple[int, ...], rows: tuple[int, ...], groups: int, output: Placed,
            config: ArrayConfig, waits: int) -> Iterator[ConvPlan]:
    a_half, w_half = config.a_depth // 2 - _SLACK, config.w_depth // 2
    sizes = [piece.pitch * term.window.length for term in terms for piece in term.pieces]
    taps = [term.tap_words_total(chunk) for term in terms for chunk in term.chunks]
    if max(sizes) > a_half or align(max(taps), config.bus_words) > w_half:
        return
    resident = sum(sizes) <= a_half and all(term.every_group for term in terms)
    scopes = [scope for scope, words in (("all", sum(taps) * groups), ("group", sum(taps)), ("chunk", max(taps)))
              if align(words, config.bus_words) <= w_half]
    tiles = len(columns) * len(rows)
    mergeable = sum(sizes) <= a_half and len(taps) > 1
    for tiles_outer in {True} if groups == 1 or tiles == 1 else {True, False}:
        for scope in scopes[:1] if groups == 1 and len(taps) == 1 else scopes:
            for merged in {False, mergeable and scope != "chunk"}:
                shape = Shape(tiling, columns, rows, groups, tiles_outer, tiles_outer and resident, merged, scope, terms)
                plan = ConvPlan(shape, estimate(shape, output, config, waits))
                yield plan
                if tiles == 1 and groups > 1 and shape.resident_tile and not merged and len(shape.stages) > 1:
                    yield replace(plan, shape=replace(shape, paired=True))
