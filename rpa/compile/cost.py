"""What a mapping costs: the engines' work per stage, put together by the tokens that hold them apart."""

from __future__ import annotations

from dataclasses import dataclass

from rpa.arch.config import ArrayConfig
from rpa.compile.layout import Placed, align
from rpa.compile.loads import piece_visits
from rpa.compile.tiling import Shape, store_shape

_LOAD_TO_RUN, _RUN_TO_DRAIN, _DRAIN_TO_STORE, _STORE_END = 4, 4, 6, 2
"""Cycles from the end of one engine's work to the start of the next one's that waits for it."""
_LD_ENTRIES, _EX_ENTRIES, _DR_ENTRIES, _ST_ENTRIES = 4, 5, 3, 3
"""Queue entries of a command with the registers that change from one to the next: about what the core issues for it."""
_SIMULATED_BLOCKS = 10


@dataclass(frozen=True)
class Cost:
    """Expected figures of one layer."""

    cycles: int
    limit: str
    """The engine that works longest: `array`, `loads`, `drain`, `stores` or `core`."""
    external_words: int
    tail: int
    """Cycles from the last step to the last word in memory: what the next layer's loads may have to wait for."""

    @property
    def key(self) -> tuple[int, int]:
        """What to minimise. A word of external traffic costs no time where it is hidden, yet a layer next door may need the bus."""
        return self.cycles + self.external_words // 200, self.external_words


@dataclass(frozen=True)
class _Stage:
    """Cycles of the engines for one stage."""

    load: int
    run: int
    core: int


def estimate(shape: Shape, output: Placed, config: ArrayConfig, waits: int = 0) -> Cost:
    """Follow the first blocks through the engines and take the rest as repetitions of the last.

    waits: cycles from the end of the layer before until its last results are in memory. A layer whose first tile needs only some of
    the columns starts on what was written before.
    """
    lanes = 1 << shape.tiling.group
    loads, external = _loads(shape, config)
    runs = [term.steps(term.chunks[index], shape.tiling.pixels) + 1 for term, index in shape.stages]
    drain = shape.tiling.pe_rows * shape.tiling.pixels + 1
    store, store_words = _stores(shape, output, config)
    blocks = shape.tiles * shape.groups
    commands = [lanes * piece_visits(term.reduction.placed, term.pieces[index], term.window)[0] for term, index in shape.stages]
    core = [_LD_ENTRIES + 3 * count + _EX_ENTRIES for count in commands]
    core[-1] += _DR_ENTRIES + _ST_ENTRIES * lanes
    stages = [[_Stage(load, run, issue) for load, run, issue in zip(block, runs, core, strict=True)] for block in loads]
    if shape.merged:
        stages = [[_Stage(sum(s.load for s in block), sum(s.run for s in block), sum(s.core for s in block))] for block in stages]
    begin = waits if len(shape.columns) == 1 else 0
    follow = _follow(stages, blocks, drain, store, begin, blocking=_ST_ENTRIES * lanes + 1 > config.queue_depth)
    totals = {"array": blocks * sum(runs), "loads": sum(sum(block) for block in loads) * blocks // len(loads), "drain": blocks * drain,
              "stores": blocks * store, "core": blocks * sum(core)}
    return Cost(follow, max(totals, key=totals.__getitem__), external + blocks * store_words,
                _RUN_TO_DRAIN + drain + _DRAIN_TO_STORE + store + _STORE_END)


def _follow(stages: list[list[_Stage]], blocks: int, drain: int, store: int, begin: int, *, blocking: bool) -> int:
    """Cycles of `blocks` blocks; those after the first few take as long as the last of them on average.

    blocking: a block's stores do not fit the queue, so the core issues nothing further before its drain is over.
    """
    issued, load_end = 0, begin
    run_ends = [0, 0]
    drain_ends, store_ends = [0, 0], [0, 0]
    marks = []
    for number in range(min(blocks, _SIMULATED_BLOCKS)):
        for index, stage in enumerate(stages[number % len(stages)] if number else stages[0]):
            issued = max(issued + stage.core, load_end - stage.load)
            load_end = max(load_end, run_ends[-2], issued - stage.core) + stage.load
            start = max(run_ends[-1], load_end + _LOAD_TO_RUN, issued, drain_ends[-2] if index == 0 else 0)
            run_ends = [run_ends[-1], start + stage.run]
        drain_ends = [drain_ends[-1], max(drain_ends[-1], run_ends[-1] + _RUN_TO_DRAIN, store_ends[-2]) + drain]
        store_ends = [store_ends[-1], max(store_ends[-1], drain_ends[-1] + _DRAIN_TO_STORE) + store]
        if blocking:
            issued = max(issued, drain_ends[-1])
        marks.append(store_ends[-1] + _STORE_END)
    if blocks > len(marks):
        half = len(marks) // 2
        return round(marks[-1] + (blocks - len(marks)) * (marks[-1] - marks[half - 1]) / (len(marks) - half))
    return marks[-1]


def _loads(shape: Shape, config: ArrayConfig) -> tuple[list[list[int]], int]:
    """Cycles of the loads of each stage, block by block as far as they differ, and external words that the layer reads in all."""
    overhead = config.mem_latency + 1
    lanes = 1 << shape.tiling.group
    acts, act_words, taps = [], [], []
    for term, index in shape.stages:
        commands, visits = piece_visits(term.reduction.placed, term.pieces[index], term.window)
        acts.append(lanes * (visits + commands * overhead))
        act_words.append(lanes * visits * term.pieces[index].unit)
        taps.append(align(term.tap_words_total(term.chunks[index]), config.bus_words))
    tiles, groups = shape.tiles, shape.groups
    every = shape.weights == "chunk" and groups * len(taps) > 1
    weights = [config.cols * words // config.bus_words + overhead for words in taps]
    whole = config.cols * sum(taps) // config.bus_words + overhead
    blocks: list[list[int]] = []
    for number in range(min(tiles * groups, _SIMULATED_BLOCKS)):
        tile, group = divmod(number, groups) if shape.tiles_outer else (number % tiles, number // tiles)
        block = list(acts) if not shape.resident_tile or group == 0 else [0] * len(acts)
        if shape.weights == "all" and number == 0:
            block[0] += whole * groups
        elif shape.weights == "group" and (tile == 0 or (shape.tiles_outer and groups > 1)):
            block[0] += whole
        elif shape.weights == "chunk" and (every or number == 0):
            block = [load + weight for load, weight in zip(block, weights, strict=True)]
        blocks.append(block)
    repeat_a = tiles if shape.resident_tile else tiles * groups
    again = shape.tiles_outer and groups > 1 if shape.weights == "group" else every if shape.weights == "chunk" else False
    external = repeat_a * sum(act_words) + (tiles if again else 1) * config.cols * groups * sum(taps)
    return blocks, external


def _stores(shape: Shape, output: Placed, config: ArrayConfig) -> tuple[int, int]:
    """Cycles of a block's stores, and words."""
    unit, units, xstep = store_shape(shape, output, config)
    visits = shape.tiling.pe_rows * (shape.tiling.pixels // xstep) * units
    return visits + 2 * (1 << shape.tiling.group), visits * unit
