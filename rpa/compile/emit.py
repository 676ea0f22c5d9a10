"""Operations as assembly text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from isa.encoding import BY_NAME
from isa.table import LOOP_DEPTH
from rpa.compile.affine import Affine
from rpa.compile.commands import Command, Nest, leaves_of
from rpa.compile.loops import find_loops, registers_used
from rpa.compile.pointers import NEAR, Allocation, Pointer, allocate, entry, unrolled
from rpa.compile.settings import CommandOp, CommentOp, ContextOp, LoopOp, Lowering, Op, ResetOp, SetOp

LONGEST_BODY = 4000
"""Words in a body of `loopi`, with a margin to what its offset reaches."""
LARGEST_COUNT = BY_NAME["loopi"].field("count").maximum
ADDRESSES = frozenset({"ld.addr", "st.addr"})
"""Registers whose values are written as places in tensors."""
INDENT = "        "


@dataclass(frozen=True)
class Places:
    """Where tensors lie, to write addresses as `name + offset`."""

    spans: tuple[tuple[int, int, str], ...] = ()
    """First byte, byte behind the last, name; ascending."""

    def text(self, address: int) -> str:
        for first, end, name in self.spans:
            if first <= address < end:
                return name if address == first else f"{name} + {address - first}"
        return str(address)


@dataclass(frozen=True)
class Code:
    """Assembly of a scheduled nest."""

    lines: tuple[str, ...]
    """Context blocks, then instructions; no `halt`."""
    labels: frozenset[str]


def emit(nest: Nest, places: Places | None = None, reserved: frozenset[str] = frozenset()) -> Code:
    """Write a scheduled nest as assembly. `reserved`: names that labels and contexts must not take."""
    used = registers_used(leaves_of(nest))
    lowering = Lowering(used)
    ops = lowering.run(find_loops(nest, used))
    writer = Writer(places or Places(), Names(set(reserved) | {name for _, _, name in (places or Places()).spans}))
    contexts = [line for lines in lowering.contents for line in writer.context(lines)]
    writer.nest(ops)
    return Code((*contexts, *writer.lines), frozenset(writer.names.taken))


@dataclass
class Names:
    """Names that are in use; new ones are made from words of a label."""

    taken: set[str]

    def new(self, words: str, fallback: str) -> str:
        stem = re.sub(r"\W+", "_", words.split(":")[0].strip()).strip("_").lower()[:40] or fallback
        if not stem[0].isalpha():
            stem = f"{fallback}_{stem}"
        number = 1
        while f"{stem}_{number}" in self.taken:
            number += 1
        self.taken.add(f"{stem}_{number}")
        return f"{stem}_{number}"


@dataclass
class Writer:
    """Collects lines and counts words."""

    places: Places
    names: Names
    lines: list[str] = field(default_factory=list)
    words: int = 0
    """At most so many instructions so far."""
    contexts: dict[tuple[str, ...], str] = field(default_factory=dict)
    _ends_loop: bool = False
    """The last line is the end of a machine loop."""
    _holds: dict[Pointer, Affine] = field(default_factory=dict)

    def context(self, lines: tuple[str, ...]) -> list[str]:
        first = re.sub(r"\W+", "_", lines[0].split(":")[-1].split()[0]) if lines else "nothing"
        self.contexts[lines] = name = self.names.new(f"pe_{first}", "pe")
        return [f".context {name}", *(f"  {line}" for line in lines), ".end"]

    def line(self, text: str, words: int = 1) -> None:
        self.lines.append(INDENT + text)
        self.words += words
        self._ends_loop = False

    def nest(self, ops: Sequence[Op]) -> None:
        """Operations outside of all loops."""
        for op in ops:
            if isinstance(op, LoopOp):
                self._outermost(op)
            else:
                self._op(op, None)

    def _outermost(self, loop: LoopOp) -> None:
        branching = frozenset(branching_loops(loop))
        allocation = allocate(loop, branching)
        if allocation is None:
            self.nest(list(unrolled(loop)))
        else:
            self._loop(loop, allocation, [])

    def _op(self, op: Op, allocation: Allocation | None) -> None:
        if isinstance(op, SetOp):
            self._set(op, allocation)
        elif isinstance(op, ResetOp):
            self.line(f"reset {op.engine}")
        elif isinstance(op, CommandOp):
            self.line(command_text(op.command))
        elif isinstance(op, ContextOp):
            self.line(f"ctx   {self.contexts[op.lines]}, {op.slot}", 10 * len(op.lines) + 6)
        elif isinstance(op, CommentOp):
            self.lines += ["", f"; {op.text}"]

    def _set(self, op: SetOp, allocation: Allocation | None) -> None:
        pointer = None if allocation is None else allocation.by_use.get(op)
        if pointer is None:
            self.line(f"set   {op.register}, {self._value(op.register, op.value.base)}", 3)
        else:
            self._move(pointer, op.value)
            self.line(f"setr  {op.register}, r{pointer.register}")

    def _value(self, register: str, value: int) -> str:
        return self.places.text(value) if register in ADDRESSES else str(value)

    def _move(self, pointer: Pointer, value: Affine) -> None:
        """Take a pointer from what it holds to `value`."""
        before = self._holds[pointer]
        if before.steps != value.steps:
            raise AssertionError(f"{before} and {value} share a pointer")
        self._holds[pointer] = value
        delta, register = value.base - before.base, f"r{pointer.register}"
        if delta in NEAR:
            if delta:
                self.line(f"addi  {register}, {register}, {delta}")
        else:
            self.line(f"li    r15, {delta}", 2)
            self.line(f"add   {register}, {register}, r15")

    def _loop(self, loop: LoopOp, allocation: Allocation, live: list[Pointer]) -> None:
        live = [*live, *allocation.by_scope.get(loop.number, [])]
        heads = {pointer: head for pointer in live if (head := entry(pointer, loop, allocation)) is not None}
        for pointer, head in heads.items():
            self._arrive(pointer, loop, head.at(loop.number, 0))
        name = self.names.new(loop.label, "loop")
        counter = allocation.counters.get(loop.number)
        if counter is None:
            self.line(f"loopi {loop.count}, {name}_end")
        else:
            self.line(f"li    r{counter}, {loop.count}")
            self.lines.append(f"{name}:")
        self._holds.update(heads)
        for op in loop.body:
            if isinstance(op, LoopOp):
                self._loop(op, allocation, live)
            else:
                self._op(op, allocation)
        for pointer, head in heads.items():
            self._move(pointer, head.shifted(loop.number, 1))
            self._holds[pointer] = head.at(loop.number, loop.count)
        self._close(name, counter)

    def _arrive(self, pointer: Pointer, loop: LoopOp, value: Affine) -> None:
        """A pointer at the entry of a loop: written where its scope begins, else moved."""
        if pointer.scope == loop.number:
            first = pointer.uses[0].op.register
            text = self._value(first, value.base)
            self.line(f"li    r{pointer.register}, {text}", 1 if value.base in NEAR else 2)
            self._holds[pointer] = value
        else:
            self._move(pointer, value)

    def _close(self, name: str, counter: int | None) -> None:
        if counter is None:
            if self._ends_loop:
                self.line("nop                             ; two loops must not end at the same address")
            self.lines.append(f"{name}_end:")
            self._ends_loop = True
        else:
            self.line(f"addi  r{counter}, r{counter}, -1")
            self.line(f"bne   r{counter}, r0, {name}")


def command_text(command: Command) -> str:
    """A command with its tokens, as a line."""
    head, _, rest = command.text.partition(" ")
    tokens = [f"wait({', '.join(command.wait)})"] * bool(command.wait) + [f"signal({', '.join(command.signal)})"] * bool(command.signal)
    return " ".join([f"{head:<5}" + (f" {rest}" if rest else ""), *tokens]).rstrip()


def branching_loops(loop: LoopOp) -> list[int]:
    """The loops that the machine's loop stack cannot do: too many around each other, too long, or too often."""
    found: list[int] = []
    _machine_depth(loop, found)
    return found


def _machine_depth(loop: LoopOp, found: list[int]) -> tuple[int, int]:
    """Machine loops around each other up to this one, and words of its body at most."""
    depth, words = 0, 0
    for op in loop.body:
        if isinstance(op, LoopOp):
            inner_depth, inner_words = _machine_depth(op, found)
            depth = max(depth, inner_depth)
            words += inner_words
        else:
            words += 10 * len(op.lines) + 6 if isinstance(op, ContextOp) else 4
    words += 40
    if depth == LOOP_DEPTH or words > LONGEST_BODY or loop.count > LARGEST_COUNT:
        found.append(loop.number)
        return depth, words
    return depth + 1, words


def place_table(tensors: Mapping[str, tuple[int, int]]) -> Places:
    """From name -> (first byte, bytes)."""
    return Places(tuple(sorted((first, first + size, name) for name, (first, size) in tensors.items())))
