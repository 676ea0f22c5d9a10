"""The order in which the core issues commands of different engines: each when its engine is about to start it.

The core issues in order and waits at a full queue. If a stage's loads stand behind commands that wait for its runs, they come late although
the bank is free. Within an engine the order stays as it is, so tokens and registers mean the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from rpa.arch.config import ArrayConfig
from rpa.compile.commands import Command, Context, Nest, leaves_of
from rpa.compile.schedule import schedule
from rpa.compile.timing import Timing

MOST_COMMANDS = 800
"""Commands of a network that is issued this way: few of its loops stay loops."""

_Leaf: TypeAlias = "Command | Context"


def schedule_network(layers: Sequence[Nest], config: ArrayConfig) -> tuple[Nest, Nest]:
    """(commands with tokens, layer by layer; the same commands in the order in which the core issues them).

    Large networks, and those that the model of `rpa.compile.timing` finds no faster for it, keep the order of their stages.
    """
    plain = schedule(layers, config)
    count = sum(1 for _ in leaves_of(plain))
    if count > MOST_COMMANDS:
        return plain, plain
    fine = schedule(layers, config, fine=True)
    options = [(plain, plain), (plain, by_start(plain, config)), (fine, by_start(fine, config))]
    return min(options, key=lambda option: Timing(config).follow(leaves_of(option[1])).cycles)


def by_start(nest: Nest, config: ArrayConfig) -> Nest:
    """The commands of a scheduled nest in the order in which they would start if issuing took no time, one nest for each layer."""
    leaves = list(leaves_of(nest))
    starts = _starts(leaves, config)
    places = sorted(range(len(leaves)), key=lambda place: (starts[place], place))
    return Nest("", tuple(_layers(nest, leaves, places)))


def _starts(leaves: list[_Leaf], config: ArrayConfig) -> list[int]:
    """Cycle in which each command starts when the core needs no time; a context belongs to the run behind it."""
    timing = Timing(config, instant=True)
    starts = [timing.follow((leaf,)).last_start for leaf in leaves]
    run = 0
    for place in range(len(leaves) - 1, -1, -1):
        leaf = leaves[place]
        if isinstance(leaf, Context):
            starts[place] = run
        elif leaf.engine == "ex":
            run = starts[place]
    return starts


def _layers(nest: Nest, leaves: list[_Leaf], places: list[int]) -> Iterator[Nest]:
    """Commands in this order, cut in front of the first command of each layer."""
    labels: list[str] = []
    for item in nest.items:
        labels += [item.label if isinstance(item, Nest) else ""] * sum(1 for _ in leaves_of(item))
    label, begun = "", set[str]()
    part: list[_Leaf] = []
    for place in places:
        if labels[place] not in begun:
            if part:
                yield Nest(label, tuple(part))
            label, part = labels[place], []
            begun.add(label)
        part.append(leaves[place])
    yield Nest(label, tuple(part))
