"""Activations that are loaded early: what they overwrite, and what they save."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from isa.table import DIMS
from rpa.arch.config import ArrayConfig
from rpa.compile import ahead
from rpa.compile.commands import Command, Load, Region, Stage, leaves_of
from rpa.compile.compiled import compile_net
from rpa.net import reference
from rpa.net.integer import IntNet
from tests.compile.integer_nets import Builder

CONFIG = ArrayConfig.preset("default")


def separable(bits: int) -> tuple[IntNet, np.ndarray]:
    """Two depthwise separable blocks behind a convolution, as MobileNets have them."""
    builder = Builder((25, 13, 3), bits, signed=False)
    builder.mac("a", [builder.term("x", 32, 3, bits, pad=1)], bits=bits)
    builder.mac("b", [builder.term("a", 32, 3, bits, pad=1, groups=32)], bits=bits)
    builder.mac("c", [builder.term("b", 64, 1, bits)], bits=bits)
    builder.mac("d", [builder.term("c", 64, 3, bits, pad=1, stride=2, groups=64)], bits=bits)
    builder.mac("e", [builder.term("d", 64, 1, bits)], bits=bits)
    return builder.net("e"), builder.image()


def words_read(command: Command) -> set[int]:
    """A addresses of a run, step by step."""
    values = command.registers
    if not values.get("ex.aen", 1):
        return set()
    loops = [[index * values.get(f"ex.as{loop}", 0) for index in range(values.get(f"ex.n{loop}", 1))] for loop in range(DIMS)]
    return {(values.get("ex.abase", 0) + sum(steps)) % (1 << 16) for steps in product(*loops)}


def words_written(command: Command) -> set[int]:
    """Addresses that a load writes in some A bank, visit by visit."""
    values = command.registers
    found = set()
    for visit, unit in product(range(values.get("ld.rows", 1)), range(values.get("ld.units", 1))):
        row = values.get("ld.j0", 0) + visit
        for bank in range(CONFIG.rows):
            q = bank >> values.get("ld.group", 0)
            if 0 <= row - q * values.get("ld.wstep", 0) < values.get("ld.wlen", 1):
                address = (values.get("ld.base", 0) + visit * values.get("ld.pitch", 0) + unit * values.get("ld.dstep", 0)
                           - q * values.get("ld.bstep", 0))
                found |= {(address + word) % (1 << 16) for word in range(values.get("ld.unit", 1))}
    return found


@pytest.mark.parametrize("bits", [16, 8, 4])
def test_nothing_is_overwritten_that_may_still_be_read(bits):
    """Follow the tokens: a load behind k waits for EX and m signals to it may meet the runs of stages k - 2 .. m - 1."""
    compiled = compile_net(separable(bits)[0], CONFIG)
    commands = [leaf for leaf in leaves_of(compiled.mapped.nest) if isinstance(leaf, Command)]
    runs: list[set[int]] = []
    for command in commands:
        if command.text.startswith("run"):
            runs += [set()] * ("ld" in command.wait)
            runs[-1] = runs[-1] | words_read(command)
    waits = signals = early = 0
    for command in commands:
        if command.engine == "ld":
            waits += "ex" in command.wait
            if command.text.startswith("ld a,"):
                written = words_written(command)
                assert not any(written & words for words in runs[max(0, waits - 2):signals]), (waits, signals, command)
                early += signals == waits
            signals += "ex" in command.signal
    assert early > 3, "no load came early"


@pytest.mark.parametrize("bits", [16, 8, 4])
def test_results_stay_the_same(bits):
    net, image = separable(bits)
    compiled = compile_net(net, CONFIG)
    run, expected = compiled.run({"x": image}), reference.run(net, {"x": image})
    for name, values in expected.items():
        np.testing.assert_array_equal(run.features[name], values)
    assert run.result.cycles == compiled.report.cycles


def stage(base: int, size: int, steps: int, *, loads: bool = True) -> Stage:
    """A run that reads every eighth of `size` words at `base`, `steps` steps long, and the load of these words."""
    load = Load((Command("ld a, mem", {"ld.base": base, "ld.unit": 8, "ld.dstep": 8, "ld.units": size // 8}),), Region("x", (0, 1), (0, 1), (0, 1)))
    run = Command("run 0", {"ex.abase": base, "ex.n0": size // 8, "ex.as0": 8, "ex.n1": steps // (size // 8)})
    return Stage((), (load,) if loads else (), (run,))


def placed(stages: list[Stage], needs: int = -1) -> list[tuple[int, int]]:
    """Loads in each turn: those of its own stage, those of later ones."""
    wanted = [[ahead.Need(needs, needs) for _ in stage.loads] for stage in stages]
    return [(len(turn.own), len(turn.early)) for turn in ahead.turns(stages, wanted, [[] for _ in stages], CONFIG)]


def test_a_load_comes_as_late_as_the_time_to_spare_allows():
    """64 visits and 17 cycles more for stage 4, beside runs of 64 steps: two of them hide it."""
    resident = [stage(0, 64, 64), *(stage(0, 64, 64, loads=False) for _ in range(3))]
    assert placed([*resident, stage(2048, 512, 512)]) == [(1, 0), (0, 0), (0, 1), (0, 0), (0, 0)]


def test_a_load_waits_until_its_words_are_read_no_more():
    """Stage 4 overwrites what stage 2 reads: two stages later is its own turn."""
    stages = [stage(0, 64, 1024), stage(2048, 64, 1024), stage(4000, 64, 1024), stage(0, 64, 1024), stage(4000, 64, 1024)]
    assert placed(stages)[-1] == (1, 0)


def test_loads_that_no_run_hides_come_one_turn_early():
    """Loads take longer than runs everywhere: each comes one turn early and no more, so that none delays another's stage."""
    stages = [stage(1024 * (index % 4), 512, 64) for index in range(6)]
    assert placed(stages) == [(1, 1), (0, 1), (0, 1), (0, 1), (0, 1), (0, 0)]
