"""The order of issue, split results and early constants: the same commands, the same integers, and no part of a bank overwritten too soon."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from rpa.arch.config import ArrayConfig
from rpa.compile.commands import Command, Stage, leaves_of
from rpa.compile.compiled import compile_net
from rpa.compile.loads import weights_command
from rpa.compile.prefetch import prefetch
from rpa.compile.split import split_up
from rpa.compile.timing import visits
from rpa.net import reference
from tests.compile.integer_nets import Builder

CONFIG = ArrayConfig.preset("default")


def two_layers(bits: int):
    """A convolution of one tile that needs all of the one before, with several groups and chunks of channels."""
    builder = Builder((8, 8, 64), bits)
    for name, source in (("a", "x"), ("b", "a")):
        builder.mac(name, [builder.term(source, 64, 3, bits, pad=1)], bits=bits)
    return builder.net("b")


@pytest.mark.parametrize("bits", [16, 8, 4, 2])
def test_issue_order_changes_nothing_but_time(bits):
    net = two_layers(bits)
    compiled = compile_net(net)
    feature = net.features["x"]
    image = {"x": np.random.default_rng(1).integers(feature.low, feature.high + 1, feature.shape)}
    run = compiled.run(image)
    expected = reference.run(net, image)
    assert all(np.array_equal(values, expected[name]) for name, values in run.features.items())
    assert run.result.cycles == compiled.report.cycles
    for engine in ("ld", "ex", "dr", "st"):
        orders = [[leaf for leaf in leaves_of(nest) if isinstance(leaf, Command) and leaf.engine == engine]
                  for nest in (compiled.mapped.nest, compiled.mapped.issued)]
        assert orders[0] == orders[1]


def test_parts_cover_what_the_whole_does():
    drain = Command("drain 0", {"dr.rows": 16, "dr.accs": 4, "dr.base": 100, "dr.pitch": 2})
    store = Command("st", {"st.addr": 1000, "st.rows": 8, "st.base": 102, "st.pitch": 4, "st.rstride": 64})
    halves = split_up([(drain, (store,))], 2)
    assert [(part.registers["dr.row0"], part.registers["dr.rows"], part.registers["dr.base"]) for part, _ in halves] == [(0, 8, 100), (8, 8, 116)]
    assert [(part.registers["st.addr"], part.registers["st.rows"], part.registers["st.base"]) for _, (part,) in halves] == \
        [(1000, 4, 102), (1256, 4, 118)]


@pytest.mark.parametrize("changes", [{"st.rows": 7}, {"st.pitch": 2}])
def test_results_that_do_not_divide_stay_whole(changes):
    drain = Command("drain 0", {"dr.rows": 16, "dr.pitch": 2})
    whole = [(drain, (Command("st", {"st.rows": 8, "st.pitch": 4, **changes}),))]
    assert split_up(whole, 2) == whole


def weights(base: int) -> Command:
    return Command("ld w, mem", {"ld.rows": 16, "ld.unit": 8, "ld.units": 2, "ld.dstep": 8, "ld.base": base})


def stage(base: int, *constants: Command) -> Stage:
    return Stage(constants, (), (Command("run 0", {"ex.n0": 200, "ex.n1": 16, "ex.ws1": 1, "ex.wbase": base}),))


def test_a_load_follows_two_stages_behind_the_last_run_that_reads_what_it_overwrites():
    stages = [stage(0, weights(0)), stage(0), stage(16, weights(16)), stage(16), stage(0, weights(0))]
    turns = [[command.registers["ld.base"] for command in (*turn.own, *turn.early)] for turn in prefetch(stages, CONFIG)]
    assert [number for number, turn in enumerate(turns) for _ in turn] == [0, 2, 4]
    assert min(number for number, turn in enumerate(turns) if turn and number > 2) >= 1 + 2


def test_a_load_that_its_stage_cannot_hide_comes_where_there_is_time():
    busy = Stage((), (), (Command("run 0", {"ex.n0": 4, "ex.wbase": 0}),))
    turns = prefetch([stage(0, weights(0)), stage(0), busy, stage(32, weights(32))], CONFIG)
    assert [(len(turn.own), len(turn.early)) for turn in turns] == [(1, 0), (0, 0), (0, 1), (0, 0)]


def words_of(command: Command) -> Iterator[tuple[int, int, int]]:
    """(row, byte address, bank address) of every word that a load moves."""
    values = command.registers
    for row, unit, word in product(range(values["ld.rows"]), range(values["ld.units"]), range(values["ld.unit"])):
        yield (row, values["ld.addr"] + row * values["ld.sstride"] + unit * values["ld.sstep"] + 2 * word,
               values["ld.base"] + unit * values["ld.dstep"] + word)


def test_a_load_that_no_stage_hides_is_cut_without_losing_a_word():
    """640 visits beside runs of 200 steps, each of which hides eleven visits of sixteen banks; most of the rest is hidden by a third."""
    runs = [Command("run 0", {"ex.n0": 200, "ex.wbase": 0})] * 5
    load = weights_command(CONFIG, 4096, 40, 512)
    needs = Stage((load,), (), (Command("run 0", {"ex.n0": 200, "ex.wbase": 512}),))
    turns = prefetch([*(Stage((), (), (run,)) for run in runs), needs], CONFIG, cut=True)
    assert [(len(turn.own), len(turn.early)) for turn in turns] == [(0, 0), (0, 0), (0, 0), (0, 1), (0, 1), (1, 0)]
    parts = [command for turn in turns for command in (*turn.own, *turn.early)]
    assert [visits(part, CONFIG) for part in parts] == [640 - 2 * 176, 176, 176]
    assert sorted(word for part in parts for word in words_of(part)) == sorted(words_of(load))


def test_weights_that_would_overwrite_what_is_in_use_are_refused():
    with pytest.raises(AssertionError, match="overwrites"):
        prefetch([stage(0, weights(0)), stage(0, weights(8))], CONFIG)
