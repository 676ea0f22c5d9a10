"""From a tree of loops to operations of the core: a register is set only where it may hold something else.

Every value is `Affine` in the loops around it. A loop is entered knowing what holds before its first and after every turn; a register
whose last value in one turn is the first of the next is set once, in front of the loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from isa.encoding import BY_NAME, REGISTER_BY_NAME
from rpa.compile.affine import Affine
from rpa.compile.commands import Command, Context
from rpa.compile.loops import Group, Leaf, Loop, Node
from rpa.compile.relevance import relevant

IMMEDIATE = BY_NAME["set"].field("imm").values
"""What `set` writes in one instruction; other values take three."""


@dataclass(frozen=True, eq=False)
class SetOp:
    """Write an engine register."""

    register: str
    value: Affine


@dataclass(frozen=True, eq=False)
class ResetOp:
    """Give all registers of an engine their reset values."""

    engine: str


@dataclass(frozen=True, eq=False)
class CommandOp:
    """Push a command."""

    command: Command


@dataclass(frozen=True, eq=False)
class ContextOp:
    """Load a context slot."""

    slot: int
    lines: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class CommentOp:
    """The label of a nest."""

    text: str


@dataclass(frozen=True, eq=False)
class LoopOp:
    """Do `body` `count` times. `number` stands for this loop in `Affine.steps`."""

    number: int
    count: int
    body: tuple[Op, ...]
    label: str
    """Of the nearest labelled nest around it."""


Op: TypeAlias = "SetOp | ResetOp | CommandOp | ContextOp | CommentOp | LoopOp"

_Place: TypeAlias = "str | int"
"""What has a value: an engine register by name, or a context slot by number."""
_Chain: TypeAlias = tuple[tuple[int, np.ndarray], ...]
"""Enclosing loops, outermost first: their numbers and the steps of the values at hand."""


@dataclass
class _Ends:
    """First and last value of a place in some code.

    For a context slot `first` is None if a run comes before it is loaded, `last` if it is not loaded at all.
    """

    first: Affine | None
    last: Affine | None


@dataclass
class Lowering:
    """Walks a tree once and writes operations."""

    used: dict[str, tuple[str, ...]]
    known: dict[_Place, Affine | None] = field(default_factory=dict)
    """What every place holds; a register that is not here has its reset value, a slot nothing of ours."""
    loops: int = 0
    slots: set[int] = field(default_factory=set)
    """Context slots that the tree loads."""
    contents: dict[tuple[str, ...], int] = field(default_factory=dict)
    """Distinct context contents, numbered: the values of slots."""

    def __post_init__(self) -> None:
        self.resets = {name: Affine(REGISTER_BY_NAME[name].reset) for names in self.used.values() for name in names}
        self.known.update(self.resets)

    def run(self, tree: Group) -> list[Op]:
        ops: list[Op] = []
        self.slots = set(_slots(tree.body))
        self._nodes(tree.body, tree.values, (), tree.label, ops)
        return ops

    def _content(self, lines: tuple[str, ...]) -> Affine:
        return Affine(self.contents.setdefault(lines, len(self.contents)))

    def _nodes(self, nodes: Sequence[Node], values: np.ndarray, chain: _Chain, label: str, ops: list[Op]) -> None:
        at = 0
        for node in nodes:
            part = slice(at, at + len(node.values))
            inner = tuple((number, steps[part]) for number, steps in chain)
            if isinstance(node, Leaf):
                self._leaf(node, affines(values[part], inner), not chain, ops)
            elif isinstance(node, Group):
                if node.label:
                    ops.append(CommentOp(node.label))
                self._nodes(node.body, values[part], inner, node.label or label, ops)
            else:
                self._loop(node, values[part], inner, label, ops)
            at = part.stop

    def _leaf(self, leaf: Leaf, values: list[Affine], outside: bool, ops: list[Op]) -> None:
        item = leaf.item
        if isinstance(item, Context):
            self._load(item.slot, item.lines, ops)
            return
        looks_at = relevant(item.text)
        wanted = {name: value for name, value in zip(leaf.names, values, strict=True) if name in looks_at}
        if outside:
            self._reset(item.engine, wanted, ops)
        for name, value in wanted.items():
            self._write(name, value, ops)
        ops.append(CommandOp(item))

    def _load(self, slot: int, lines: tuple[str, ...], ops: list[Op]) -> None:
        content = self._content(lines)
        if self.known.get(slot) != content:
            self.known[slot] = content
            ops.append(ContextOp(slot, lines))

    def _write(self, name: str, value: Affine, ops: list[Op]) -> None:
        if self.known[name] != value:
            self.known[name] = value
            ops.append(SetOp(name, value))

    def _reset(self, engine: str, wanted: dict[str, Affine], ops: list[Op]) -> None:
        """Reset the engine first where that takes fewer instructions."""
        plain = sum(_words(value) for name, value in wanted.items() if self.known[name] != value)
        if 1 + sum(_words(value) for name, value in wanted.items() if self.resets[name] != value) < plain:
            self.known.update({name: self.resets[name] for name in self.used[engine]})
            ops.append(ResetOp(engine))

    def _loop(self, loop: Loop, values: np.ndarray, chain: _Chain, label: str, ops: list[Op]) -> None:
        self.loops += 1
        number = self.loops
        inside = (*chain, (number, loop.steps))
        ends: dict[_Place, _Ends] = {}
        self._ends(loop.body, values, inside, ends)
        lines_of = {content: lines for lines, content in self.contents.items()}
        for place, end in ends.items():
            self.known[place] = self._at_entry(place, end, number, lines_of, ops)
        body: list[Op] = []
        self._nodes(loop.body, values, inside, label, body)
        for place, end in ends.items():
            if end.last is not None:
                self.known[place] = end.last.at(number, loop.count - 1)
        if any(not isinstance(op, CommentOp) for op in body):  # contexts that the slots hold already leave nothing
            ops.append(LoopOp(number, loop.count, tuple(body), label))

    def _at_entry(self, place: _Place, end: _Ends, number: int, lines_of: dict[int, tuple[str, ...]], ops: list[Op]) -> Affine | None:
        """What a place holds whenever a turn of the loop begins; writes it in front of the loop if that helps."""
        if end.first is None or end.last is None:
            return self.known.get(place) if end.last in (None, self.known.get(place)) else None
        if end.last.shifted(number, -1) != end.first:
            return None
        before = end.first.at(number, 0)
        if isinstance(place, int):
            self._load(place, lines_of[before.base], ops)
        else:
            self._write(place, before, ops)
        return end.first

    def _ends(self, nodes: Sequence[Node], values: np.ndarray, chain: _Chain, ends: dict[_Place, _Ends]) -> None:
        """Add to `ends` the first and last values of all places that these nodes need."""
        at = 0
        for node in nodes:
            part = slice(at, at + len(node.values))
            inner = tuple((number, steps[part]) for number, steps in chain)
            if isinstance(node, Leaf):
                self._leaf_ends(node, affines(values[part], inner), ends)
            elif isinstance(node, Group):
                self._ends(node.body, values[part], inner, ends)
            else:
                self._loop_ends(node, values[part], inner, ends)
            at = part.stop

    def _leaf_ends(self, leaf: Leaf, values: list[Affine], ends: dict[_Place, _Ends]) -> None:
        item = leaf.item
        if isinstance(item, Context):
            content = self._content(item.lines)
            ends.setdefault(item.slot, _Ends(content, content)).last = content
            return
        looks_at = relevant(item.text)
        for name, value in zip(leaf.names, values, strict=True):
            if name in looks_at:
                ends.setdefault(name, _Ends(value, value)).last = value
        if item.text.startswith("run"):
            for slot in self.slots:
                ends.setdefault(slot, _Ends(None, None))

    def _loop_ends(self, loop: Loop, values: np.ndarray, chain: _Chain, ends: dict[_Place, _Ends]) -> None:
        inner: dict[_Place, _Ends] = {}
        number = -1 - len(chain)
        self._ends(loop.body, values, (*chain, (number, loop.steps)), inner)
        for place, end in inner.items():
            outer = ends.setdefault(place, _Ends(None if end.first is None else end.first.at(number, 0), None))
            if end.last is not None:
                outer.last = end.last.at(number, loop.count - 1)


def _slots(nodes: Sequence[Node]) -> Iterator[int]:
    for node in nodes:
        if not isinstance(node, Leaf):
            yield from _slots(node.body)
        elif isinstance(node.item, Context):
            yield node.item.slot


def affines(values: np.ndarray, chain: _Chain) -> list[Affine]:
    """One `Affine` for every value."""
    steps: list[list[tuple[int, int]]] = [[] for _ in values]
    for number, step in chain:
        for index in np.flatnonzero(step):
            steps[index].append((number, int(step[index])))
    return [Affine(int(value), tuple(pairs)) for value, pairs in zip(values, steps, strict=True)]


def _words(value: Affine) -> int:
    """Instructions of a `set` in straight code."""
    return 1 if value.base in IMMEDIATE else 3
