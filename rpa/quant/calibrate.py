"""Calibration: the float graph on some images, and what its activations look like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from rpa.net.errors import NetError
from rpa.net.float_run import run_float
from rpa.net.graph import Graph
from rpa.quant.blocks import Block
from rpa.quant.errors import QuantError
from rpa.quant.statistics import Collector, Observed, share_formats

BATCH_BYTES = 128 << 20
"""As many images at once as keep all activations together below this, or one."""


def checked_images(graph: Graph, images: np.ndarray | Mapping[str, np.ndarray], what: str = "calibration data") -> dict[str, np.ndarray]:
    """Images by name of an input as float32 (N, C, H, W).

    images: (N, C, H, W), or of the model's own shape with N first; a mapping where the network has several inputs. Raises QuantError if they
    are empty, of another shape or type, or not finite.
    """
    given = dict(images) if isinstance(images, Mapping) else {graph.inputs[0]: images}
    if set(given) != set(graph.inputs):
        raise QuantError(f"{what} are for {', '.join(sorted(given))}, `{graph.name}` takes {', '.join(sorted(graph.inputs))}")
    result = {name: _checked(graph, name, np.asarray(values), what) for name, values in given.items()}
    if len({len(values) for values in result.values()}) != 1:
        raise QuantError(f"{what}: {', '.join(f'{len(values)} of `{name}`' for name, values in result.items())}; must be as many of each input")
    return result


def _checked(graph: Graph, name: str, values: np.ndarray, what: str) -> np.ndarray:
    shape = graph.shapes[name]
    if not (np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)):
        raise QuantError(f"{what} of `{name}` have type {values.dtype}, must be real numbers")
    if not values.size:
        raise QuantError(f"{what} of `{name}` are empty, shape {values.shape}; at least one image is needed")
    if values.ndim != 4 or values.shape[1:] != shape:
        try:
            values = graph.layouts[name].to_nchw(values, shape)
        except (NetError, KeyError, ValueError):
            raise QuantError(f"{what} of `{name}` have shape {values.shape}, must be (N, {', '.join(map(str, shape))})") from None
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise QuantError(f"{what} of `{name}` have {int((~np.isfinite(values)).sum())} values that are NaN or infinite")
    return values


def calibrate(graph: Graph, blocks: Iterable[Block], images: Mapping[str, np.ndarray]) -> dict[str, Observed]:
    """Statistics of every activation. images: from `checked_images`. QuantError if an input never changes."""
    for name, values in images.items():
        if values.min() == values.max():
            raise QuantError(f"calibration data of `{name}` are constant ({float(values.flat[0]):g}); scales cannot be chosen from them")
    blocks = tuple(blocks)
    collector = Collector(share_formats(blocks), (block.output for block in blocks if block.keeps_format))
    names = tuple(graph.shapes)
    per_image = 4 * sum(int(np.prod(shape)) for shape in graph.shapes.values())
    step = max(1, BATCH_BYTES // per_image)
    for start in range(0, len(next(iter(images.values()))), step):
        with np.errstate(over="ignore", invalid="ignore"):
            batch = run_float(graph, {name: values[start:start + step] for name, values in images.items()}, wanted=names)
        collector.add(batch)
    return collector.observed()
