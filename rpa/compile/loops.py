"""Loops in a nest: items that repeat with the same shape and equal steps of all their register values.

The *shape* of an item is everything that a loop body cannot compute: texts, tokens, contexts, inner loops with their counts
and steps. Its *values* are the register settings of its commands, one after the other. Items i, i + p, i + 2p, ... of equal shape whose
values form arithmetic progressions are one `Loop` with a body of p items (ping-pong buffers give p = 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

import numpy as np

from isa.encoding import REGISTER_BY_NAME
from isa.table import ENGINES, REGISTERS
from rpa.compile.commands import Command, Context, Nest, Stage, leaves_of
from rpa.compile.errors import CompileError

LONGEST_PERIOD = 64
"""Items of a body at most, as they stand in one nest."""
LEAST_SAVING = 8
"""Commands that a loop must save: below that its own instructions are not worth it."""
LEAST_COUNT = 3
"""Two items of the same shape are always an arithmetic progression, so they prove nothing."""
PAIR_SAVING = 40
"""Commands from which on a loop of two turns is worth the core registers that hold whatever differs between them."""


@dataclass(frozen=True, eq=False)
class Leaf:
    """A command with its values, or a context with none."""

    item: Command | Context
    names: tuple[str, ...]
    """Registers that `values` are of."""
    shape: int
    values: np.ndarray
    commands: int = 1


@dataclass(frozen=True, eq=False)
class Group:
    """A nest whose items have been put into loops."""

    label: str
    body: tuple[Node, ...]
    shape: int
    values: np.ndarray
    commands: int


@dataclass(frozen=True, eq=False)
class Loop:
    """`body`, `count` times; after each time its values go on by `steps`. `values`: those of the first time."""

    count: int
    body: tuple[Node, ...]
    steps: np.ndarray
    shape: int
    values: np.ndarray
    commands: int


Node: TypeAlias = "Leaf | Group | Loop"


@dataclass
class _Shapes:
    """Numbers for shapes: equal shapes have equal numbers."""

    numbers: dict[tuple, int] = field(default_factory=dict)

    def number(self, *key: object) -> int:
        return self.numbers.setdefault(key, len(self.numbers))


def registers_used(leaves: Iterable[Command | Context]) -> dict[str, tuple[str, ...]]:
    """Per engine the registers that any command names, in the order of the table; all others keep their reset value.

    Raises CompileError for a name that is no register of the command's engine.
    """
    seen: dict[str, set[str]] = {engine.name: set() for engine in ENGINES}
    for leaf in leaves:
        if isinstance(leaf, Command):
            seen[leaf.engine].update(leaf.registers)
    for engine, names in seen.items():
        for name in names:
            if name not in REGISTER_BY_NAME or REGISTER_BY_NAME[name].engine != engine:
                raise CompileError(f"`{name}` is no register of engine {engine}")
    return {engine: tuple(r.name for r in REGISTERS if r.name in names) for engine, names in seen.items()}


@cache
def _resets(names: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    return tuple((name, REGISTER_BY_NAME[name].reset) for name in names)


class LoopFinder:
    """Turns a scheduled nest into a tree of loops."""

    def __init__(self, used: dict[str, tuple[str, ...]]) -> None:
        self.used = used
        self.shapes = _Shapes()

    def leaf(self, item: Command | Context) -> Leaf:
        if isinstance(item, Context):
            return Leaf(item, (), self.shapes.number("context", item.slot, item.lines), np.zeros(0, np.int64))
        names = self.used[item.engine]
        values = np.array([item.registers.get(name, reset) for name, reset in _resets(names)], np.int64)
        return Leaf(item, names, self.shapes.number("command", item.text, item.wait, item.signal), values)

    def node(self, item: Nest | Stage | Command | Context) -> Leaf | Group:
        """An item with its inner loops found."""
        if isinstance(item, Stage):
            raise CompileError("a stage is no command yet; put it through rpa.compile.schedule")
        if not isinstance(item, Nest):
            return self.leaf(item)
        return self.group(item.label, self.collapse([self.node(child) for child in item.items]))

    def group(self, label: str, body: Sequence[Node]) -> Group:
        return Group(label, tuple(body), self.shapes.number("group", *(node.shape for node in body)), _values(body),
                     sum(node.commands for node in body))

    def collapse(self, nodes: list[Node], keys: list[int] | None = None) -> list[Node]:
        """Replace what repeats by loops, short periods first, until nothing does.

        keys: what must be equal besides the shapes, one number for each node.
        """
        shapes = [node.shape for node in nodes] if keys is None else keys
        marked, period = marks(nodes), 1
        while period <= min(LONGEST_PERIOD, len(nodes) // LEAST_COUNT):
            runs = [run for run in find_runs(nodes, shapes, period, marked)
                    if (run[1] - 1) * sum(node.commands for node in nodes[run[0]:run[0] + period]) >= LEAST_SAVING]
            if not runs:
                period += 1
                continue
            for start, count in reversed(runs):
                loop = self.loop(nodes, start, period, count)
                nodes[start:start + count * period] = [loop]
                shapes[start:start + count * period] = [loop.shape if keys is None else self.shapes.number("keyed", loop.shape, shapes[start])]
            marked, period = marks(nodes), 1
        return self.pairs(nodes) if keys is None else nodes

    def pairs(self, nodes: list[Node]) -> list[Node]:
        """Replace what stands twice by loops of two turns, long stretches first: any two values are in progression."""
        for period in range(min(LONGEST_PERIOD, len(nodes) // 2), 0, -1):
            start = 0
            while start + 2 * period <= len(nodes):
                body, again = nodes[start:start + period], nodes[start + period:start + 2 * period]
                if sum(node.commands for node in body) >= PAIR_SAVING and [node.shape for node in body] == [node.shape for node in again]:
                    nodes[start:start + 2 * period] = [self.loop(nodes, start, period, 2)]
                start += 1
        return nodes

    def loop(self, nodes: list[Node], start: int, period: int, count: int) -> Loop:
        body = tuple(nodes[start:start + period])
        values = _values(body)
        steps = _values(nodes[start + period:start + 2 * period]) - values
        shape = self.shapes.number("loop", count, steps.tobytes(), *(node.shape for node in body))
        return Loop(count, body, steps, shape, values, sum(node.commands for node in body))


def _values(nodes: Sequence[Node]) -> np.ndarray:
    return np.concatenate([node.values for node in nodes]) if nodes else np.zeros(0, np.int64)


def marks(nodes: Sequence[Node]) -> np.ndarray:
    """A number for each node, linear in its values modulo 2^64: where values are in progression, so are the marks."""
    widths = np.array([len(node.values) for node in nodes], np.int64)
    ends = np.cumsum(widths)
    places = np.arange(widths.sum()) - np.repeat(ends - widths, widths)
    products = _values(nodes) * (places * 0x5851F42D4C957F2D + 0x14057B7EF767814F)
    sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(products)))
    return sums[ends] - sums[ends - widths]


def find_runs(nodes: Sequence[Node], shapes: Sequence[int], period: int, marked: np.ndarray) -> list[tuple[int, int]]:
    """Stretches of `count * period` nodes that repeat, as (start, count), in order and apart; count >= LEAST_COUNT.

    marked: see :func:`marks`; what they rule out is not looked at.
    """
    shape = np.array(shapes)
    same = shape[:-period] == shape[period:]
    steps = marked[period:] - marked[:-period]
    regular = same[:-period] & same[period:] & (steps[:-period] == steps[period:])
    regular[_outside_long_runs(regular, period)] = False
    candidates = np.flatnonzero(regular)
    regular[candidates] = _progress(nodes, candidates, period)
    runs, free = [], 0
    for first, length in zip(*_stretches(regular), strict=True):
        start = max(int(first), free)
        count = (int(first) + int(length) + 2 * period - start) // period
        if count >= LEAST_COUNT:
            runs.append((start, count))
            free = start + count * period
    return runs


def _stretches(flags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of the stretches of True."""
    edges = np.diff(np.concatenate(([0], flags.astype(np.int8), [0])))
    starts = np.flatnonzero(edges == 1)
    return starts, np.flatnonzero(edges == -1) - starts


def _outside_long_runs(flags: np.ndarray, period: int) -> np.ndarray:
    """Where the stretch of True is too short for a whole period: its values need no look."""
    starts, lengths = _stretches(flags)
    keep = np.zeros(len(flags) + 1, np.int64)
    keep[starts[lengths >= period]] += 1
    keep[(starts + lengths)[lengths >= period]] -= 1
    return np.cumsum(keep[:-1]) == 0


def _progress(nodes: Sequence[Node], at: np.ndarray, period: int) -> np.ndarray:
    """For each i of `at`: whether the values of nodes i, i + period, i + 2 period (of equal shape) are an arithmetic progression."""
    widths = np.array([len(nodes[i].values) for i in at], np.int64)
    if not widths.sum():
        return np.ones(len(at), bool)
    one, two, three = (_values([nodes[i + k * period] for i in at]) for k in range(3))
    wrong = np.concatenate(([0], np.cumsum(three - two != two - one)))
    ends = np.cumsum(widths)
    return wrong[ends] == wrong[ends - widths]


def find_loops(nest: Nest, used: dict[str, tuple[str, ...]] | None = None) -> Group:
    """The nest with its loops found, from the inside out. The values of the leaves are those of the first time.

    Items of the outermost nest only join if their labels are equal, so that every layer keeps its name.
    used: see :func:`registers_used`.
    """
    finder = LoopFinder(used if used is not None else registers_used(leaves_of(nest)))
    nodes: list[Node] = [finder.node(child) for child in nest.items]
    keys = [finder.shapes.number("labelled", node.label if isinstance(node, Group) else "", node.shape) for node in nodes]
    return finder.group(nest.label, finder.collapse(nodes, keys))


def expand(node: Node) -> Iterator[tuple[Command | Context, dict[str, int]]]:
    """Every command and context as often as it is issued, with the values that it then has."""
    yield from _expand(node, node.values)


def _expand(node: Node, values: np.ndarray) -> Iterator[tuple[Command | Context, dict[str, int]]]:
    if isinstance(node, Leaf):
        yield node.item, dict(zip(node.names, values.tolist(), strict=True))
        return
    times, steps = (node.count, node.steps) if isinstance(node, Loop) else (1, np.zeros_like(values))
    for time in range(times):
        at, now = 0, values + time * steps
        for child in node.body:
            yield from _expand(child, now[at:at + len(child.values)])
            at += len(child.values)
