"""Additions of convolutions: in one accumulator, or some of them with a stored result of their own, whichever is good enough.

One accumulator costs no storage and no second pass, so it is taken unless its scale, common to all of them, rounds weights so much worse that the
noise of the result, the rounding of the stored output included, grows by more than `TOLERANCE`. A convolution that is kept apart has the noise of its
own weights and that of storing its result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rpa.net.graph import Graph
from rpa.quant.blocks import Block, MacBlock, Part
from rpa.quant.formats import activation_format
from rpa.quant.fuse import WEIGHTED, identity_part
from rpa.quant.mac import scale_of
from rpa.quant.options import Options
from rpa.quant.scales import Format
from rpa.quant.statistics import Observed
from rpa.quant.widths import WidthTable

TOLERANCE = 3.0


def choose_separate(graph: Graph, blocks: Sequence[Block], formats: Mapping[str, Format], observed: Mapping[str, Observed], table: WidthTable,
                    options: Options) -> frozenset[str]:
    """Convolutions that must not go into an addition's accumulator. blocks, formats: those with every convolution in one."""
    outputs = {node.name: node.output for node in graph.nodes if node.op in WEIGHTED}
    result: set[str] = set()
    for block in blocks:
        if not isinstance(block, MacBlock) or len(block.parts) < 2:
            continue
        free = [part.node for part in block.parts if part.node in outputs and not part.exact]
        if not free or options.shortcuts == "joint":
            continue
        if options.shortcuts == "separate":
            result.update(free[1:])
            continue
        tried = [frozenset[str](), *([frozenset(free[1:])] if len(free) > 1 else []), frozenset(free)]
        noises = [_noise(block, apart, outputs, formats, observed, table, options) for apart in tried]
        result |= next(apart for apart, noise in zip(tried, noises, strict=True) if noise <= min(noises) * TOLERANCE)
    return frozenset(result)


def _noise(block: MacBlock, apart: frozenset[str], outputs: Mapping[str, str], formats: Mapping[str, Format], observed: Mapping[str, Observed],
           table: WidthTable, options: Options) -> float:
    """Mean square error of the block's result if the convolutions in `apart` store their results."""
    channels = len(block.bias)
    step = formats[block.output].scale
    total = step**2 / 12
    inside: list[Part] = []
    formats = dict(formats)
    for part in block.parts:
        if part.exact or part.node not in apart:
            inside.append(part)
            continue
        name = outputs[part.node]
        formats[name] = activation_format(observed[name], table[block.name].act_bits, options)
        alone = replace(block, name=part.node, parts=(part,), bias=np.zeros(channels), output=name)
        total += float(scale_of(alone, formats[name].scale, formats, observed, table, options).noise.mean()) + formats[name].scale ** 2 / 12
        inside.append(identity_part(block.name, name, channels))
    rest = replace(block, parts=tuple(inside))
    return total + float(scale_of(rest, step, formats, observed, table, options).noise.mean())
