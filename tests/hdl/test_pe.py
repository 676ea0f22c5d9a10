"""One PE in Verilog against the plain integer model: random contexts and steps, every operation, width, source, route."""

from dataclasses import replace

import numpy as np
import pytest

from hdl.pe import NEIGHBOURS, Pe
from isa.table import CONTEXT_FIELDS, PE_CONDS, PE_DESTS, PE_OPS, PE_ROUTES, PE_SOURCES
from rpa.arch.config import ArrayConfig
from tests.hdl.compiled import Compiled
from tests.hdl.pe_model import PeModel, Step

pytestmark = pytest.mark.rtl
FIELDS = {field.name: field for field in CONTEXT_FIELDS}
CODES = {"op": PE_OPS, "x": PE_SOURCES, "y": PE_SOURCES, "dst": PE_DESTS, "route": PE_ROUTES, "cond": PE_CONDS}


def context(**names) -> int:
    """A context word from names, `imm` as a number."""
    word = 0
    for name, value in names.items():
        code = value if name == "imm" else next(row.code for row in CODES[name] if row.name == value)
        word |= FIELDS[name].insert(code)
    return word


@pytest.fixture(scope="module", params=[48, 40, 32], ids=lambda bits: f"acc{bits}")
def pe(request, tmp_path_factory):
    """(compiled PE, acc_bits). In: feed, exec, a|w|north|east, south|west, acc. Out: out, flag, reg_sig, acc_sig, use, drained."""
    config = replace(ArrayConfig.preset("tiny"), acc_bits=request.param)

    def build(m, inputs):
        m.submodules.pe = unit = Pe(config, debug=True)
        feed, execute, first, second, acc = inputs
        control = unit.control
        m.d.comb += [
            control.slot.eq(feed[:8]), control.word.eq(feed[8:40]), unit.ctx_write.eq(feed[40]),
            control.width.eq(execute[1:5]), control.a_signed.eq(execute[5]), control.w_signed.eq(execute[6]), control.first.eq(execute[7]),
            control.acc.source_bank.eq(execute[8]), control.acc.source_index.eq(execute[9:13]),
            unit.row_active.eq(execute[13]), unit.col_active.eq(execute[14]),
            unit.a.eq(first[:16]), unit.w.eq(first[16:]), unit.north.eq(first[32:]), unit.east.eq(first[48:]),
            unit.south.eq(second[:16]), unit.west.eq(second[16:]),
            control.acc.bank.eq(acc[0]), control.acc.index.eq(acc[1:5]), control.acc.width.eq(acc[6:10]),
            control.acc.read[0].eq(acc[10:14]), control.acc.read[1].eq(acc[14:18]), control.acc.drain_bank.eq(acc[18]), unit.drain.eq(acc[19]),
        ]
        return [unit.out, unit.debug.flag, unit.debug.reg_sig, unit.debug.acc_sig, unit.acc_use, unit.drained]
    return Compiled(tmp_path_factory.mktemp(f"pe{request.param}"), 5, build), request.param


def play(pe, entries, drains=()):
    """Run entries (kind, word, slot, Step) through the pipeline, then read ``drains`` (bank, index).

    Returns the compiled outputs and the model's trace of the same cycles.
    """
    compiled, acc_bits = pe
    length = len(entries) + 2 + len(drains)
    vectors = np.zeros((length, 5), dtype=np.uint64)
    columns = vectors.tolist()
    for k, (kind, word, slot, step) in enumerate(entries):
        columns[k][0] = slot | word << 8 | (kind == "load") << 40
        active = kind == "step"
        columns[k + 1][1] = (step.width | step.a_signed << 5 | step.w_signed << 6 | step.first << 7 | step.bank << 8 | step.index << 9
                             | active << 13 | active << 14)
        columns[k + 1][2] = step.a | step.w << 16 | step.north << 32 | step.east << 48
        columns[k + 1][3] = step.south | step.west << 16
        columns[k + 2][4] = step.bank | step.index << 1 | step.width << 5 | step.index << 10 | step.index << 14
    for k, (bank, index) in enumerate(drains):
        columns[len(entries) + 2 + k][4] = index << 10 | index << 14 | bank << 18 | 1 << 19
    return compiled(np.array(columns, dtype=np.uint64)), model_trace(entries, acc_bits, length)


def model_trace(entries, acc_bits, length):
    """(model at the end, (out, flag, reg_sig, acc_sig) as registered at the start of each cycle)."""
    model, contexts, trace = PeModel(acc_bits), [0] * 64, []
    fetched, adding = None, None
    for cycle in range(length):
        trace.append((model.out, model.flag, model.reg_sig, model.acc_sig))
        pending = fetched and fetched[0] == "step" and (model.execute(fetched[1], fetched[2]), fetched[2])
        if adding:
            model.accumulate(*adding)
        adding = pending or None
        fetched = None
        if cycle < len(entries):
            kind, word, slot, step = entries[cycle]
            if kind == "load":
                contexts[slot] = word
            fetched = (kind, contexts[slot], step)
    return model, trace


def check(pe, entries):
    drains = [(bank, index) for bank in range(2) for index in range(16)]
    out, (model, trace) = play(pe, entries, drains)
    for cycle, expected in enumerate(trace):
        assert tuple(int(v) for v in out[cycle, :4]) == expected, f"cycle {cycle}: {entries[max(cycle - 3, 0):cycle + 1]}"
    for k, (bank, index) in enumerate(drains):
        assert int(out[len(entries) + 2 + k, 5]) == model.acc[bank][index], f"acc[{bank}][{index}]"
    return out, model


def random_word(rng) -> int:
    """A legal context word; sources, operation and destination all vary."""
    op = PE_OPS[rng.integers(len(PE_OPS))]
    names = {name: CODES[name][rng.integers(len(CODES[name]))].name for name in ("x", "y", "dst", "route", "cond")}
    if op.writes != "result":
        names["dst"] = "none"
    return context(op=op.name, imm=int(rng.integers(-128, 128)), **names)


def random_step(rng) -> Step:
    words = rng.integers(0, 1 << 16, 6)
    words[rng.random(6) < 0.2] = rng.choice([0, 0x8000, 0x7FFF, 0xFFFF, 0x8080, 0x8888, 0xAAAA])
    return Step(width=int(rng.choice([2, 4, 8, 16])), a_signed=bool(rng.integers(2)), w_signed=bool(rng.integers(2)), first=bool(rng.random() < 0.2),
                bank=int(rng.integers(2)), index=int(rng.choice([0, 1, 2, 15, rng.integers(16)])), a=int(words[0]), w=int(words[1]),
                **dict(zip(NEIGHBOURS, map(int, words[2:]), strict=True)))


@pytest.mark.parametrize("seed", [1, 2])
def test_random_contexts_and_steps(pe, seed):
    rng = np.random.default_rng(seed)
    entries = []
    for _ in range(6000):
        kind = "load" if rng.random() < 0.5 else "step" if rng.random() < 0.9 else "idle"
        entries.append((kind, random_word(rng), int(rng.integers(16)), random_step(rng)))
    check(pe, entries)


def test_two_lanes_of_8_bits_multiply_and_add_by_hand(pe):
    word = context(op="mac", x="a", y="w")
    step = Step(width=8, a=0xFE03, w=0x0405, first=True)  # 3*5 + (-2)*4
    _, model = check(pe, [("load", word, 0, step), ("step", 0, 0, step)])
    assert model.acc[0][0] == 7


def test_a_step_sees_accumulators_written_two_steps_before(pe):
    store, copy = context(op="mov", x="a", dst="acc"), context(op="mov", x="acc", route="result")
    entries = [("load", store, 0, Step()), ("load", copy, 1, Step()), ("step", 0, 0, Step(a=7)), ("step", 0, 1, Step()), ("step", 0, 1, Step()),
               ("idle", 0, 0, Step()), ("idle", 0, 0, Step())]
    out, _ = check(pe, entries)
    assert [int(v) for v in out[4:7, 0]] == [0, 0, 7]


def test_accumulator_use_does_not_depend_on_the_condition(pe):
    word = context(op="mac", x="a", y="w", cond="p")
    out, model = check(pe, [("load", word, 0, Step()), ("step", 0, 0, Step(a=1, w=1))])
    assert int(out[2, 4]) == 1 and model.acc[0][0] == 0
