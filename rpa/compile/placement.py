"""Which layers go to NOR-flash macros: those named, or those that gain by latency, by energy or within a loss of accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rpa.arch.config import ArrayConfig
from rpa.compile.errors import CompileError
from rpa.compile.flash_plan import plan_layers
from rpa.compile.kernels import choices, on_macros
from rpa.compile.layout import place
from rpa.flash.calibrate import calibrate
from rpa.flash.energy import report
from rpa.flash.mapping import Encoding
from rpa.flash.network import FlashNet
from rpa.flash.placed import Placement
from rpa.flash.spec import MacroSpec, for_config
from rpa.net.integer import IntNet, Mac
from rpa.net.reference import run_many

FLASH, ARRAY, ALL, AUTO = "flash", "array", "all", "auto"
GOALS = ("latency", "energy", "accuracy")
_IMAGES = 8
"""Images at most on which energy and errors of a placement are measured."""
Images = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a user wants on macros."""

    layers: Mapping[str, str] = field(default_factory=dict)
    """Node name, or `all`, -> `flash` or `array`."""
    goal: str | None = None
    """One of GOALS: choose among the other layers."""
    encoding: Encoding = Encoding.REFERENCE
    macro: MacroSpec = field(default_factory=lambda: MacroSpec.preset("ideal"))
    """What `accuracy` is measured with."""
    seed: int = 0
    loss: float = 0.01
    """`accuracy`: relative error of the outputs at most."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the choice of a layer rests on."""

    layer: str
    on_flash: bool
    array: float
    flash: float
    unit: str
    """Of both: cycles, nJ, or relative error of the outputs where the array's is 0."""


def wish(items: str | Sequence[str], **fields) -> Wish:
    """Read `NAME=flash`, `NAME=array`, `all=flash` and `auto=GOAL`, one or several. Raises CompileError for anything else."""
    items = [items] if isinstance(items, str) else items
    layers: dict[str, str] = {}
    goal = None
    for item in items:
        name, _, where = str(item).partition("=")
        if name == AUTO and where in GOALS and goal is None:
            goal = where
        elif name and name != AUTO and where in (FLASH, ARRAY) and name not in layers:
            layers[name] = where
        else:
            raise CompileError(f"placement `{item}`, must be NAME={FLASH}, NAME={ARRAY}, {ALL}={FLASH}, or once {AUTO}={'|'.join(GOALS)}")
    return Wish(layers=layers, goal=goal, **fields)


def resolve(wanted: Wish, net: IntNet, config: ArrayConfig, images: Images | None) -> tuple[dict[str, Placement], tuple[Verdict, ...]]:
    """Placements by name, with ranges calibrated on `images` (integers (N, H, W, C) by input), and what an automatic choice rests on.

    Raises CompileError for unknown names, and where a choice needs images and there are none.
    """
    macs = [node.name for node in net.nodes if isinstance(node, Mac)]
    wanted = replace(wanted, layers=_by_node(wanted.layers, macs, net.name))
    names = [name for name in macs if wanted.layers.get(name, wanted.layers.get(ALL)) == FLASH]
    few = None if images is None else {name: values[:_IMAGES] for name, values in images.items()}
    verdicts: tuple[Verdict, ...] = ()
    if wanted.goal is not None:
        free = [name for name in macs if name not in wanted.layers and ALL not in wanted.layers]
        verdicts = _judge(wanted, net, config, free, few)
        names = [name for name in macs if name in names or any(one.on_flash for one in verdicts if one.layer == name)]
    return _calibrated(wanted, net, config, names, few), verdicts


def _by_node(layers: Mapping[str, str], macs: Sequence[str], network: str) -> dict[str, str]:
    """The same by names of nodes: `conv2` also means `conv2.1`, as the importer calls what it has split."""
    found: dict[str, str] = {}
    unknown = []
    for name, where in layers.items():
        nodes = [name] if name in (*macs, ALL) else [node for node in macs if node.startswith(f"{name}.")]
        found |= dict.fromkeys(nodes, where)
        unknown += [] if nodes else [f"`{name}`"]
    if unknown:
        raise CompileError(f"`{network}` has no layer with weights called {', '.join(unknown)}; there are {', '.join(macs)}")
    return found


def _placements(wanted: Wish, net: IntNet, names: Sequence[str]) -> dict[str, Placement]:
    terms = {node.name: tuple(range(len(node.terms))) for node in net.nodes if isinstance(node, Mac)}
    return {name: Placement(encoding=wanted.encoding, terms=terms[name]) for name in names}


def _network(wanted: Wish, net: IntNet, config: ArrayConfig, names: Sequence[str], spec: MacroSpec | None = None) -> FlashNet:
    sized = for_config(config, spec or replace(MacroSpec.preset("ideal"), adc=replace(MacroSpec.preset("ideal").adc, bits=config.nv_adc_bits)))
    return FlashNet(net, _placements(wanted, net, names), sized, line=config.cols, macros=config.nv_macros, seed=wanted.seed)


def _calibrated(wanted: Wish, net: IntNet, config: ArrayConfig, names: Sequence[str], images: Images | None) -> dict[str, Placement]:
    placements = _placements(wanted, net, names)
    plan_layers(net, config, placements)        # what does not fit is refused here, with the compiler's reasons
    if images is None or not names:
        return placements
    ranges = calibrate(_network(wanted, net, config, names), images)
    return {name: replace(one, log2_lsb=ranges[name].log2_lsb) for name, one in placements.items()}


def _judge(wanted: Wish, net: IntNet, config: ArrayConfig, names: Sequence[str], images: Images | None) -> tuple[Verdict, ...]:
    """Layers that can go to macros, each with both figures; chosen as far as macros suffice, the largest gain first."""
    possible = [name for name in names if _fits(wanted, net, config, [name])]
    if wanted.goal == "latency":
        return _by_gain(wanted, net, config, _latencies(wanted, net, config, possible), "cycles")
    if images is None:
        raise CompileError(f"placing by {wanted.goal} needs typical images: give calibration images")
    if wanted.goal == "energy":
        return _by_gain(wanted, net, config, _energies(wanted, net, config, possible, images), "nJ")
    return _by_error(wanted, net, config, possible, images)


def _fits(wanted: Wish, net: IntNet, config: ArrayConfig, names: Sequence[str]) -> bool:
    try:
        plan_layers(net, config, _placements(wanted, net, names))
    except CompileError:
        return False
    return True


def _latencies(wanted: Wish, net: IntNet, config: ArrayConfig, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    layout = place(net, config)
    found: dict[str, tuple[float, float]] = {}
    for node in net.nodes:
        if node.name in names:
            layer = plan_layers(net, config, _placements(wanted, net, [node.name]))[node.name]
            found[node.name] = (choices(node, layout, 0, 1)[0].cost.cycles, on_macros(layer, layout).cost.cycles)
    return found


def _energies(wanted: Wish, net: IntNet, config: ArrayConfig, names: Sequence[str], images: Images) -> dict[str, tuple[float, float]]:
    found = {}
    for name in names:
        flash = _network(wanted, net, config, [name])
        calibrate(flash, images)
        flash.run_many(images)
        figures = report(flash).layers[0]
        found[name] = (figures.digital_pj / 1e3, figures.energy.total / 1e3)
    return found


def _by_gain(wanted: Wish, net: IntNet, config: ArrayConfig, figures: Mapping[str, tuple[float, float]], unit: str) -> tuple[Verdict, ...]:
    chosen: list[str] = [name for name, where in wanted.layers.items() if where == FLASH]
    for name in sorted(figures, key=lambda one: figures[one][1] - figures[one][0]):
        array, flash = figures[name]
        if flash < array and _fits(wanted, net, config, [*chosen, name]):
            chosen.append(name)
    return tuple(Verdict(layer=name, on_flash=name in chosen, array=array, flash=flash, unit=unit) for name, (array, flash) in figures.items())


def _by_error(wanted: Wish, net: IntNet, config: ArrayConfig, names: Sequence[str], images: Images) -> tuple[Verdict, ...]:
    """The layer that harms least first, as long as the outputs stay within the loss."""
    exact = run_many(net, images)
    alone = {name: _error(wanted, net, config, [name], images, exact) for name in names}
    chosen: list[str] = [name for name, where in wanted.layers.items() if where == FLASH]
    for name in sorted(alone, key=lambda one: alone[one]):
        if _fits(wanted, net, config, [*chosen, name]) and _error(wanted, net, config, [*chosen, name], images, exact) <= wanted.loss:
            chosen.append(name)
    return tuple(Verdict(layer=name, on_flash=name in chosen, array=0.0, flash=error, unit="relative error") for name, error in alone.items())


def _error(wanted: Wish, net: IntNet, config: ArrayConfig, names: Sequence[str], images: Images, exact: Mapping[str, np.ndarray]) -> float:
    """Relative error of the outputs with these layers on the chip: root mean squares, zero points taken away."""
    flash = _network(wanted, net, config, names, wanted.macro)
    calibrate(flash, images)
    got = flash.run_many(images)
    wrong = sum(float(((got[name] - exact[name]).astype(float) ** 2).sum()) for name in net.outputs)
    right = sum(float(((exact[name] - net.features[name].zero_point).astype(float) ** 2).sum()) for name in net.outputs)
    return (wrong / right) ** 0.5 if right else float(wrong > 0)
