"""Random nests with the regularities that kernels have: steps in every loop around a command, ping-pong, edges that differ."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import assume
from hypothesis import strategies as st

from rpa.compile.commands import Command, Context, Nest

CONTEXTS = (("all: mac a, w",), ("all: macl a, w",), ("all: nop", "rows 0 cols 1: mov a -> r0, route a"), ("cols 0: add r0, #1 -> acc",))
WIDE, NARROW = {"ld.addr", "st.addr"}, {"ld.base", "ld.j0", "ex.abase", "ex.wbase", "dr.base", "st.base"}
SMALL = {"ld.rows", "ld.fill", "ex.n0", "ex.keep", "dr.rows", "st.rows"}
ENGINES = {"ld": ("ld.addr", "ld.base", "ld.j0", "ld.rows", "ld.fill"), "ex": ("ex.abase", "ex.wbase", "ex.n0", "ex.keep"),
           "dr": ("dr.base", "dr.rows"), "st": ("st.addr", "st.base", "st.rows")}
TEXTS = ("ld a, mem", "ld w, mem", "ld a, fill", "sync ld", "run 0", "run 1", "drain 0", "st")
MANY = 1500
"""Commands of a nest at most, before it is edited."""


@dataclass(frozen=True)
class Spec:
    """A leaf: a command whose values step in the loops around it, or a context."""

    leaf: Command | Context
    steps: dict[str, tuple[int, ...]]
    """For some registers the step in each loop, outermost first; a loop too many is ignored."""
    flips: dict[str, int]
    """Added in every second turn of the innermost loop."""


@dataclass(frozen=True)
class Repeat:
    """A body, several times; flat or every turn a nest of its own."""

    count: int
    body: tuple[Spec | Repeat, ...]
    nested: bool
    label: str


def _range(name: str) -> tuple[int, int]:
    return (1 << 25, 1 << 26) if name in WIDE else (9000, 20000) if name in NARROW else (1, 1) if name == "ex.keep" else (40, 50)


def _steps(name: str) -> st.SearchStrategy[int]:
    if name in WIDE:
        return st.sampled_from([0, 0, 64, 128, 4096, -256, 1 << 17, -(1 << 18), 1 << 19])
    return st.sampled_from([0, 0, 0, 1, 8, -16, 64]) if name in NARROW else st.just(0)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    if draw(st.integers(0, 7)) == 0:
        return Spec(Context(draw(st.integers(0, 1)), draw(st.sampled_from(CONTEXTS))), {}, {})
    command = Command(draw(st.sampled_from(TEXTS)))
    names = draw(st.lists(st.sampled_from(ENGINES[command.engine]), unique=True))
    registers = {name: draw(st.integers(*_range(name)) | st.just(_range(name)[0])) for name in names}
    steps = {name: tuple(draw(st.lists(_steps(name), max_size=6))) for name in names}
    flips = {name: draw(st.sampled_from([0, 0, 512])) for name in names if name in NARROW}
    return Spec(replace(command, registers=registers), steps, flips)


def repeats(depth: int) -> st.SearchStrategy[Repeat]:
    inner = specs() if depth == 0 else specs() | repeats(depth - 1)
    return st.builds(Repeat, st.integers(1, 7), st.lists(inner, min_size=1, max_size=4).map(tuple), st.booleans(),
                     st.sampled_from(["", "conv1: 3x3", "tile 2", "7"]))


def _turn(spec: Spec, indices: tuple[int, ...]) -> Command | Context:
    if isinstance(spec.leaf, Context):
        return spec.leaf
    registers = {name: value + sum(step * index for step, index in zip(spec.steps[name], indices, strict=False))
                 + (spec.flips.get(name, 0) if indices and indices[-1] % 2 else 0) for name, value in spec.leaf.registers.items()}
    return replace(spec.leaf, registers=registers)


def expanded(spec: Spec | Repeat, indices: tuple[int, ...]) -> list:
    if isinstance(spec, Spec):
        return [_turn(spec, indices)]
    items: list = []
    for index in range(spec.count):
        turn = [item for child in spec.body for item in expanded(child, (*indices, index))]
        items += [Nest(spec.label, tuple(turn))] if spec.nested else turn
    return items


def size(spec: Spec | Repeat) -> int:
    """Leaves that a spec becomes."""
    return spec.count * sum(map(size, spec.body)) if isinstance(spec, Repeat) else 1


def halved(spec: Spec | Repeat) -> Spec | Repeat:
    return Repeat((spec.count + 1) // 2, tuple(map(halved, spec.body)), spec.nested, spec.label) if isinstance(spec, Repeat) else spec


def _edited(item, edits: dict[int, str], counter: list[int]):
    """A copy with some commands changed: edges, first times, last times."""
    if isinstance(item, Nest):
        return Nest(item.label, tuple(_edited(child, edits, counter) for child in item.items))
    counter[0] += 1
    kind = edits.get(counter[0])
    if kind is None or isinstance(item, Context):
        return item
    if kind == "sync":
        return Command(f"sync {item.engine}")
    return replace(item, registers={name: value + 1 if name in NARROW | WIDE else value for name, value in item.registers.items()})


@st.composite
def nests(draw: st.DrawFn) -> Nest:
    """A nest of up to MANY commands, without tokens."""
    tree: Spec | Repeat = draw(repeats(draw(st.integers(0, 5))))
    for _ in range(3):
        tree = halved(tree) if size(tree) > MANY else tree
    assume(size(tree) <= MANY)
    edits = draw(st.dictionaries(st.integers(1, size(tree)), st.sampled_from(["sync", "value"]), max_size=3))
    return _edited(Nest("net", tuple(expanded(tree, ()))), edits, [0])
