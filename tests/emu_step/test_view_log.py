"""What a debugger sees between two cycles, and the lines of the commit log, by hand."""

import numpy as np

from rpa.arch.memory import build_memory
from rpa.emu.step import StepMachine
from tests.emu_step.both import log_both, program_of

SOURCE = """
.context step
all: mac a, w, route a
rows 1: add a, #3 -> r2
.end
li r1, 7
ctx step, 1
set ex.sbase, 1
set ex.n0, 6
set ex.au0, 1
run 1
loopi 5, e
set dr.raw, 1
e: halt
"""


def machine_after(cycles, compiled, source=SOURCE):
    program = program_of(source)
    machine = StepMachine(program, build_memory(program, {}), compiled=compiled)
    machine.m.abank[0] = (5, 9)
    assert machine.cycle(cycles) == cycles
    return machine


def test_view_in_the_middle_of_a_run():
    for compiled in (True, False):
        machine = machine_after(1, compiled)
        while not machine.view.busy["ex"] or machine.view.command("ex") != "run 1":
            machine.cycle()
        machine.cycle(4)
        view = machine.view
        assert view.registers[1] == 7
        assert [stage.stage for stage in view.ex_pipeline] == ["feed", "exec", "acc"]
        assert all(stage.is_step and stage.slot == 1 and stage.bank == 1 for stage in view.ex_pipeline)
        assert view.active("ex")["ex.n0"] == 6
        assert view.buses[0].tolist() == [5, 9]
        assert view.feeder("a")[0].tolist() == [5, 9] and view.feeder("a")[7].tolist() == [-1, -1]
        pe = view.pe(1, 0)
        assert pe.registers[2] == 9 + 3
        assert pe.contexts[1] == "add a, #3 -> r2"
        assert view.pe(0, 0).out == 5
        assert view.counters["cycles"] == machine.cycles


def test_view_of_loops_and_queues():
    machine = machine_after(2, False, "loopi 5, e\nset ex.n0, 3\nsync ex wait(ld) signal(st)\ne: halt")
    view = machine.view
    assert [(loop.start, loop.end, loop.count) for loop in view.loops] == [(1, 3, 5)]
    assert [(entry.pc, entry.text) for entry in view.queue("ex")] == [(1, "set ex.n0, 3")]
    machine.cycle(2)
    entry = machine.view.queue("ex")[0]
    assert (entry.text, entry.wait, entry.signal) == ("sync ex wait(ld) signal(st)", 1, 8)
    assert machine.view.shadow("ex")["ex.n0"] == 3 and machine.view.active("ex")["ex.n0"] == 1


def test_accumulators_are_signed_and_banks_are_words():
    machine = machine_after(1, False)
    machine.m.acc[0, 3, 1, 1] = (1 << machine.config.acc_bits) - 2
    assert machine.view.pe(1, 1).accumulators[0, 3] == -2
    assert machine.view.bank("a").shape == (2, 1024) and machine.view.bank("a")[:, 0].tolist() == [5, 9]


def test_cycle_stops_at_the_end():
    program = program_of("halt")
    machine = StepMachine(program, build_memory(program, {}))
    assert machine.cycle(100) == 2
    assert machine.done and machine.fault is None and machine.cycle() == 0


def test_tokens():
    machine = machine_after(4, True, "sync ld signal(ex, st)\nhalt")
    assert machine.view.tokens == {("ld", "ex"): 1, ("ld", "st"): 1}


def test_log_by_hand():
    lines = log_both(program_of("""
        .output y shape(2) bits 16
        li r1, 5
        add r0, r1, r1
        st
        sync ex
        halt"""))
    assert lines[0].split("\t") == ["cycle", "kind", "unit", "pc", "word", "instruction", "effect"]
    short = [(line.split("\t")[0], line.split("\t")[1], line.split("\t")[2], line.split("\t")[3], line.split("\t")[6]) for line in lines[1:]]
    assert short == [
        ("1", "retire", "core", "0x0000", "r1=0x00000005"),
        ("2", "retire", "core", "0x0001", "-"),
        ("3", "retire", "core", "0x0002", "-"),
        ("4", "retire", "core", "0x0003", "-"),
        ("4", "start", "st", "0x0002", "-"),
        ("5", "retire", "core", "0x0004", "-"),
        ("5", "start", "ex", "0x0003", "-"),
        ("6", "done", "st", "0x0002", "-"),
        ("6", "write", "mem", "-", "[0x00000000]=0000"),
        ("9", "done", "ex", "0x0003", "-"),
    ]
    assert lines[1].split("\t")[5] == "addi r1, r0, 5"


def test_log_of_a_fault():
    lines = log_both(program_of("l: sync ex wait(ld)\nhalt"))
    assert lines[-1].split("\t") == ["3", "fault", "machine", "0x0000", lines[1].split("\t")[4], "sync ex wait(ld)", "DEADLOCK aux=0x00000002"]


def test_log_longer_than_its_buffer():
    lines = log_both(program_of("li r1, 5000\nloop r1, e\naddi r2, r2, 1\ne: halt"))
    assert len(lines) == 1 + 2 + 5000 + 1
    assert lines[-2].split("\t")[0] == "5002" and lines[-2].endswith(f"r2={np.uint32(5000):#010x}")
