"""Loops and pointers: what is found, what it costs, and that nothing is lost."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

import isa
from isa.encoding import decode
from isa.table import REGISTERS
from rpa.arch.config import ArrayConfig
from rpa.compile.check import first_difference
from rpa.compile.commands import Command, Context, Nest, Stage, leaves_of
from rpa.compile.emit import emit
from rpa.compile.errors import CompileError
from rpa.compile.follow import follow
from rpa.compile.loops import Group, Loop, expand, find_loops, registers_used
from rpa.emu.fast.trace import trace
from tests.compile.nests import nests

CONFIG = replace(ArrayConfig.preset("tiny"), imem_words=1 << 16, mem_bytes=1 << 31)
RESET = {register.name: register.reset for register in REGISTERS}
KERNELS = sorted((Path(__file__).parents[2] / "programs").glob("*.rpa"))


def program_of(nest: Nest) -> isa.Program:
    return isa.assemble("\n".join((*emit(nest).lines, "halt", "")), CONFIG)


def loops_in(node) -> list[Loop]:
    inner = [] if not isinstance(node, Group | Loop) else [loop for child in node.body for loop in loops_in(child)]
    return ([node] if isinstance(node, Loop) else []) + inner


@given(nests())
@settings(max_examples=50)
def test_loops_expand_to_the_nest(nest):
    used = registers_used(leaves_of(nest))
    expected = [(bare(leaf), {name: leaf.registers.get(name, RESET[name]) for name in used[leaf.engine]} if isinstance(leaf, Command) else {})
                for leaf in leaves_of(nest)]
    assert [(bare(item), values) for item, values in expand(find_loops(nest))] == expected


def bare(leaf: Command | Context) -> Command | Context:
    return replace(leaf, registers={}) if isinstance(leaf, Command) else leaf


def stage(tile: int, chunk: int, number: int, chunks: int) -> Nest:
    """A stage of a convolution: double-buffered loads, a run, and behind the last chunk drain and store."""
    half, bank = number % 2 * 1024, tile % 2
    items = [Command("ld w, mem", {"ld.addr": 65536 + chunk * 1152, "ld.rows": 16, "ld.units": 9, "ld.base": half, "ld.sstride": 144}, ("ex",)),
             Command("ld a, mem", {"ld.addr": 4096 + tile * 544 + chunk * 32, "ld.rows": 18, "ld.units": 6, "ld.base": half, "ld.sstride": 544,
                                   "ld.pitch": 48, "ld.wlen": 3, "ld.bstep": 48}, (), ("ex",)),
             Command(f"run {bank}", {"ex.n0": 3, "ex.n1": 16, "ex.abase": half, "ex.wbase": half, "ex.keep": int(chunk > 0)},
                     ("ld",) if chunk else ("ld", "dr"), ("ld",) if chunk < chunks - 1 else ("ld", "dr"))]
    if chunk == chunks - 1:
        items += [Command(f"drain {bank}", {"dr.rows": 16, "dr.accs": 16, "dr.base": bank * 256}, ("ex", "st"), ("ex", "st")),
                  Command("st", {"st.addr": 300000 + tile * 4096, "st.rows": 16, "st.xs": 16, "st.base": bank * 256}, ("dr",), ("dr",))]
    return Nest("", tuple(items))


@pytest.mark.parametrize(("tiles", "chunks", "most"), [(64, 1, 28), (16, 8, 23), (16, 9, 23)])
def test_instructions_of_a_convolution(tiles, chunks, most):
    """Executed per stage: 3 commands, 12 settings in which the two loads differ, 2 addresses with a step each, the halves of ld and ex (3);
    per tile drain, store, their halves, an address with a step, and `ex.keep` twice."""
    numbers = iter(range(tiles * chunks))
    layer = Nest("conv1: 3x3", [Nest("", [stage(tile, chunk, next(numbers), chunks) for chunk in range(chunks)]) for tile in range(tiles)])
    nest = Nest("net", [Nest("start", (Context(0, ("all: mac a, w",)),)), layer])
    program = program_of(nest)
    assert first_difference(nest, program) is None
    assert executed(program) <= most * tiles * chunks + 80
    assert len(program.code) < 300


def executed(program: isa.Program) -> int:
    """Instructions until `halt`, by the stack of loops alone."""
    count, pc, stack = 0, 0, []
    while program.code[pc] != 0:
        count += 1
        values = decode(program.code[pc])
        if values.instruction.name == "loopi":
            stack.append([pc + 1, pc + values.values["offset"], values.values["count"]])
        pc += 1
        while stack and stack[-1][1] == pc:
            stack[-1][2] -= 1
            if stack[-1][2]:
                pc = stack[-1][0]
                break
            stack.pop()
    return count


def test_ping_pong_is_a_loop_of_two():
    nest = Nest("net", tuple(Command("ld a, fill", {"ld.base": 512 * (n % 2), "ld.j0": 3 * n}) for n in range(40)))
    (loop,) = loops_in(find_loops(nest))
    assert (loop.count, len(loop.body), loop.steps.tolist()) == (20, 2, [6, 0] * 2)        # of ld.j0, ld.base


def test_layers_with_different_names_stay_apart():
    layer = [Command("ld a, fill", {"ld.base": n}) for n in range(4)]
    nest = Nest("net", [Nest(f"conv{n}", tuple(layer)) for n in range(6)])
    assert not loops_in(find_loops(nest))
    assert len(loops_in(find_loops(Nest("net", [Nest("tile", tuple(layer)) for n in range(6)])))) == 1


@pytest.mark.parametrize("depth", [4, 5, 7])
def test_more_loops_than_the_machine_has(depth):
    """Loops around a fourth count in a core register and branch."""
    def build(level: int, base: int) -> Nest:
        if level == depth:
            return Nest("", tuple(Command("ld a, fill", {"ld.base": base + 2 * n * n}) for n in range(5)))
        return Nest("", tuple(build(level + 1, base + 300 * n * (level + 1) ** 2) for n in range(3)))

    nest = Nest("net", (build(0, 0),))
    source = "\n".join(emit(nest).lines)
    assert source.count("loopi") == 4 and source.count("bne") == depth - 4
    assert first_difference(nest, program_of(nest)) is None


def test_more_values_than_core_registers():
    """Forty addresses that step differently in three loops: outer loops are written out until the rest fits."""
    nest = Nest("net", tuple(Nest("", tuple(Nest("", tuple(
        Command("ld a, mem", {"ld.addr": (1 << 24) + (k << 18) + x * k * k * 4 + y * (50 - k) * 64}) for k in range(40))) for x in range(3)))
        for y in range(4)))
    program = program_of(nest)
    assert first_difference(nest, program) is None
    assert sum(line.strip().startswith("ld ") for line in emit(nest).lines) > 40


def test_steps_beyond_an_immediate():
    nest = Nest("net", tuple(Command("st", {"st.addr": n << 20, "st.rstride": -(1 << 20)}) for n in range(100)))
    program = program_of(nest)
    assert len(program.code) < 20
    assert first_difference(nest, program) is None


def test_long_loops():
    nest = Nest("net", tuple(Command("ld a, fill", {"ld.base": n % 7}) for n in range(7 * 3000)))
    (loop,) = loops_in(find_loops(nest))
    assert loop.count * len(loop.body) == 21000
    many = Nest("net", tuple(Command("sync ld") for _ in range(40_000)))
    source = emit(many).lines
    assert any("bne" in line for line in source) and len(source) < 10


def test_contexts_are_loaded_where_they_may_have_changed():
    first, second = Context(0, ("all: mac a, w",)), Context(0, ("all: macl a, w",))
    run = Command("run 0")
    nest = Nest("net", (first, *(item for _ in range(9) for item in (run, second, run, second, run, first))))
    program = program_of(nest)
    assert first_difference(nest, program) is None
    assert sum(line.strip().startswith("ctx ") for line in emit(nest).lines) == 3


def test_time_is_linear_enough():
    stages = [Nest("", tuple(stage(n // 7, n % 7, n, 7).items)) for n in range(4000)]
    nest = Nest("net", [Nest(f"layer {n}", stages[n * 400:n * 400 + 400]) for n in range(10)])
    before = time.process_time()
    emit(nest)
    assert time.process_time() - before < 5


@pytest.mark.parametrize(("item", "message"), [
    (Command("ld a, mem", {"ld.adr": 1}), "`ld.adr` is no register of engine ld"),
    (Command("run 0", {"ld.addr": 1}), "`ld.addr` is no register of engine ex"),
    (Stage(), "a stage is no command yet; put it through rpa.compile.schedule"),
])
def test_refused_nests(item, message):
    with pytest.raises(CompileError) as caught:
        emit(Nest("net", (item,)))
    assert str(caught.value) == message


def held(engine: str, values) -> list[int]:
    """Register values as bits: `ld.fill` takes -32768..65535 and holds 16 bits."""
    return [value & (1 << register.bits) - 1 for register, value in zip((r for r in REGISTERS if r.engine == engine), values, strict=True)]


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_following_a_kernel_agrees_with_the_event_loop(path):
    """Every command of the kernels of programs/, but `sync`, which has no registers: pc and registers."""
    program = isa.assemble(path, ArrayConfig.preset("small"))
    followed: dict[int, list] = {}
    try:
        for command in follow(program):
            if not command.text.startswith("sync"):
                engine = ("ld", "ex", "dr", "st", "nv").index(command.engine)
                followed.setdefault(engine, []).append((command.pc, *held(command.engine, command.registers.values())))
    except CompileError as error:
        assert "counters cannot be followed" in str(error)
        pytest.skip("reads counters")
    seen: dict[int, list] = {}
    for command in trace(program).commands:
        if command.name != "sync":
            seen.setdefault(command.engine, []).append((command.pc, *held(("ld", "ex", "dr", "st", "nv")[command.engine], command.registers)))
    assert followed == seen
