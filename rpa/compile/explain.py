"""Where the cycles, MACs and accesses of a compiled network go, layer by layer, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from isa.program import Program
from isa.table import DIMS
from rpa.arch.config import ArrayConfig
from rpa.compile.account import counts
from rpa.compile.commands import Command, Context, Nest, leaves_of
from rpa.compile.flash import FlashPlan
from rpa.compile.flash_plan import FlashLayer
from rpa.compile.kernels import Choice
from rpa.compile.mapping import ConvPlan
from rpa.compile.network import Mapped
from rpa.compile.timing import visits
from rpa.emu.fast.trace import Command as Started
from rpa.emu.fast.trace import trace
from rpa.net.integer import IntNet, Mac, Node


@dataclass(frozen=True)
class LayerReport:
    """One node of a network on the array. Sums over layers are the run's counters."""

    name: str
    shapes: str
    widths: str
    """Activation x weight bits of each term."""
    mapping: str
    why: str
    cycles: int
    """From the last step of the layer before to the last of this one; what follows the last layer counts for it."""
    steps: int
    """Cycles in which the array works."""
    macs: int
    """MACs that the layer's shapes call for."""
    utilisation: float
    """Cycles that the MACs would take if every lane of every PE worked in each of them, over `cycles`."""
    limit: str
    counters: dict[str, int]
    """Accesses and traffic by counter name (`rpa isa explain NAME`)."""


@dataclass(frozen=True)
class NetReport:
    """All layers and their sum."""

    network: str
    cycles: int
    """Of the whole run."""
    layers: tuple[LayerReport, ...]
    programming: int = 0
    """Of these, cycles before the first layer in which macros are programmed: cells keep what they hold, so once is enough."""

    def total(self, counter: str) -> int:
        return sum(layer.counters.get(counter, 0) for layer in self.layers)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def utilisation(self) -> float:
        """Of the whole network, as for a layer."""
        return sum(layer.utilisation * layer.cycles for layer in self.layers) / self.working if self.working else 0.0

    @property
    def working(self) -> int:
        """Cycles of the layers: all but programming."""
        return self.cycles - self.programming


def explain(mapped: Mapped, program: Program) -> NetReport:
    """Follow a compiled program without data, and say what each layer does and costs."""
    config = ArrayConfig.from_dict(program.config)
    followed = trace(program)
    ends = {engine: iter([_end(command, config) for command in followed.commands if command.name in names]) for engine, names in _WORKS.items()}
    total = followed.cycles or 0
    layers = []
    parts = [item for item in mapped.nest.items if isinstance(item, Nest)]
    before = programmed = _last_end([leaf for part in parts[1:1 + mapped.programming] for leaf in leaves_of(part)], ends)
    body = parts[1 + mapped.programming:]
    for index, (node, choice, nest) in enumerate(zip(mapped.net.nodes, mapped.choices, body, strict=True)):
        commands = [leaf for leaf in leaves_of(nest) if isinstance(leaf, Command)]
        end = total if index == len(body) - 1 else _last_end(commands, ends, before)
        layers.append(_layer(mapped.net, node, choice, nest, commands, end - before, config))
        before = end
    return NetReport(mapped.net.name, total, tuple(layers), programmed)


_WORKS = {"ex": ("run",), "nv": ("nvmac", "nvprog")}
"""Commands that do a layer's work, by engine."""


def _last_end(commands: Iterable[Command | Context], ends: Mapping[str, Iterator[int]], before: int = 0) -> int:
    """When the last of these commands ends that does a layer's work. ends: of all such commands, in order, by engine."""
    for command in commands:
        if isinstance(command, Command) and command.text.split()[0] in _WORKS.get(command.engine, ()):
            before = next(ends[command.engine])
    return before


def _end(command: Started, config: ArrayConfig) -> int:
    """Cycle of a command's last step or visit."""
    if command.name == "run":
        return command.cycle + prod(getattr(command.registers, f"n{loop}") for loop in range(DIMS))
    registers = {f"nv.{name}": value for name, value in command.registers._asdict().items()}
    return command.cycle + visits(Command(command.name, registers), config)


def _layer(net: IntNet, node: Node, choice: Choice, nest: Nest, commands: list[Command], cycles: int, config: ArrayConfig) -> LayerReport:
    counters: Counter[str] = Counter()
    for command in commands:
        counters.update(counts(command, config))
    macs = macs_of(net, node)
    steps = sum(visits(command, config) for command in commands if command.text.startswith(("run", "nvmac")))
    return LayerReport(
        node.name, nest.label.removeprefix(f"{node.name}: "), ", ".join(f"{act}x{weight}" for act, weight in _bits(net, node)), _mapping(choice),
        _REASONS[choice.cost.limit], cycles, steps, macs, least_cycles(net, node, config) / cycles if cycles else 0.0, choice.cost.limit,
        {name: count for name, count in counters.items() if count})


def _bits(net: IntNet, node: Node) -> list[tuple[int, int]]:
    if isinstance(node, Mac):
        return [(net.features[term.input].bits, term.weight_bits) for term in node.terms]
    return [(net.features[node.output].bits, 0)]


def least_cycles(net: IntNet, node: Node, config: ArrayConfig) -> float:
    """Cycles of a node's MACs with every lane of every PE at work, at each term's own width."""
    if not isinstance(node, Mac):
        return 0.0
    height, width, _ = net.features[node.output].shape
    lanes = (16 // max(net.features[term.input].bits, term.weight_bits) for term in node.terms)
    return sum(height * width * term.weight.size / (config.pes * count) for term, count in zip(node.terms, lanes, strict=True))


def macs_of(net: IntNet, node: Node) -> int:
    """Multiply-accumulates that a node's shapes call for, residual additions among them."""
    if not isinstance(node, Mac):
        return 0
    height, width, _ = net.features[node.output].shape
    return sum(height * width * term.weight.size for term in node.terms)


def _mapping(choice: Choice) -> str:
    plan = choice.plan
    if isinstance(plan, FlashPlan):
        return _on_macros(plan.layer)
    if not isinstance(plan, ConvPlan):
        return f"{choice.kernel} on the mesh"
    shape = plan.shape
    tiling = shape.tiling
    segments = f" in {1 << tiling.group} segments" if tiling.group else ""
    order = "channels inside tiles" if shape.tiles_outer else "tiles inside channels"
    return (f"{choice.kernel}: tile {tiling.rows}x{tiling.columns}{segments}, {tiling.pixels} pixels in flight; "
            f"{len(shape.columns)}x{len(shape.rows)} tiles, {shape.groups} groups of channels, {order}; "
            f"{len(shape.stages)} chunks{', one stage' if shape.merged else ', two groups at once' if shape.paired else ''}; "
            f"weights: {shape.weights}; activations: {'resident' if shape.resident_tile else 'streamed'}")


def _on_macros(layer: FlashLayer) -> str:
    sites, macros = layer.sites, layer.macros
    cells = sum(site.tile.cells.size for site in sites)
    return (f"flash: {len(sites)} tiles, {cells} cells in macro{'s' if len(macros) > 1 else ''} {', '.join(map(str, macros))}; "
            f"{sites[0].encoding.name.lower()} encoding, {sites[0].slices} cells a weight; a conversion's step is 2^{layer.log2_lsb}")


_REASONS = {"macro": "passes of the macros fill the time; loads, drains and stores hide behind them",
            "array": "steps fill the time; loads, drains and stores hide behind them",
            "loads": "operands take longer to arrive than to be multiplied",
            "drain": "few products per output: the drain gives one row of results a cycle", "stores": "results leave more slowly than they are made",
            "core": "runs are so short that issuing commands takes longer"}

