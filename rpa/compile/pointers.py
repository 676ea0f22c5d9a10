"""Core registers for values that change with loops: walking pointers.

A *use* is a `SetOp` whose value one instruction cannot write. A *pointer* is a core register that holds the values of several uses in
turn: `addi` takes it from one to the next, and at the end of a turn back to where the next turn begins. So uses may share a
pointer if they step alike in every loop around both. A pointer lives in one loop, its *scope*, and is written in front of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from isa.encoding import BY_NAME
from rpa.compile.affine import Affine
from rpa.compile.settings import IMMEDIATE, LoopOp, Op, SetOp

REGISTERS = tuple(range(1, 15))
"""r1..r14; r15 is the assembler's."""
NEAR = BY_NAME["addi"].field("imm").values
"""What `addi` adds, and a one-word `li` takes."""


@dataclass(frozen=True)
class Use:
    """A `SetOp` and the loops around it, outermost first."""

    op: SetOp
    path: tuple[int, ...]

    def steps(self) -> dict[int, int]:
        return {loop: self.op.value.step(loop) for loop in self.path}


@dataclass(eq=False)
class Pointer:
    """A core register and the uses that share it."""

    scope: int
    """The loop in front of which it is written."""
    steps: dict[int, int]
    """Of every loop that has one of its uses inside."""
    uses: list[Use] = field(default_factory=list)
    register: int = 0

    def add(self, use: Use) -> None:
        self.uses.append(use)
        self.steps.update(use.steps())

    def fits(self, use: Use, everything: bool) -> bool:
        """Whether a use can join; unless `everything`, only if that costs no instruction in its innermost loop."""
        if any(self.steps.get(loop, step) != step for loop, step in use.steps().items()):
            return False
        base = use.op.value.base
        if any(abs(other.op.value.base - base) not in NEAR for other in self.uses):
            return False
        if everything or (use.path and use.op.value.step(use.path[-1])):
            return True
        return all(other.op.value == use.op.value for other in self.uses if other.path[-1] == use.path[-1])


@dataclass(frozen=True)
class Allocation:
    """Where the values of a loop nest come from."""

    by_use: dict[SetOp, Pointer]
    by_scope: dict[int, list[Pointer]]
    counters: dict[int, int]
    """Loops done with a branch: the register that counts."""


@dataclass(frozen=True)
class _Policy:
    wide: bool
    """Pointers live in the whole nest (their start is written once), else only where they must."""
    everything: bool


POLICIES = (_Policy(True, False), _Policy(False, False), _Policy(False, True))
"""From fewest instructions to fewest registers."""


def allocate(nest: LoopOp, branching: frozenset[int]) -> Allocation | None:
    """Registers for an outermost loop and everything inside; None if there are not enough of them.

    branching: loops that need a register to count in.
    """
    for policy in POLICIES:
        pointers = _pointers(nest, policy)
        by_scope: dict[int, list[Pointer]] = defaultdict(list)
        for pointer in pointers:
            by_scope[pointer.scope].append(pointer)
        counters: dict[int, int] = {}
        if _assign(nest, by_scope, branching, REGISTERS, counters):
            return Allocation({use.op: pointer for pointer in pointers for use in pointer.uses}, dict(by_scope), counters)
    return None


def uses_of(ops: Sequence[Op], path: tuple[int, ...]) -> Iterator[Use]:
    """Every `SetOp` that needs more than one instruction, in order."""
    for op in ops:
        if isinstance(op, LoopOp):
            yield from uses_of(op.body, (*path, op.number))
        elif isinstance(op, SetOp) and (op.value.steps or op.value.base not in IMMEDIATE):
            yield Use(op, path)


def _pointers(nest: LoopOp, policy: _Policy) -> list[Pointer]:
    pointers: list[Pointer] = []
    for use in uses_of((nest,), ()):
        if not policy.wide and not use.op.value.steps:
            continue
        scope = nest.number if policy.wide else use.op.value.steps[0][0]
        fitting = [pointer for pointer in pointers if pointer.scope == scope and pointer.fits(use, policy.everything)]
        if fitting:
            nearest = min(fitting, key=lambda pointer: abs(pointer.uses[-1].op.value.base - use.op.value.base))
        else:
            nearest = Pointer(scope, {})
            pointers.append(nearest)
        nearest.add(use)
    return pointers


def _assign(loop: LoopOp, by_scope: dict[int, list[Pointer]], branching: frozenset[int], free: tuple[int, ...], counters: dict[int, int]) -> bool:
    """Give the pointers of a loop and of those inside their registers; False if there are too few."""
    mine = by_scope.get(loop.number, [])
    if len(mine) + (loop.number in branching) > len(free):
        return False
    for pointer, register in zip(mine, free, strict=False):
        pointer.register = register
    rest = free[len(mine):]
    if loop.number in branching:
        counters[loop.number], rest = rest[-1], rest[:-1]
    return all(_assign(op, by_scope, branching, rest, counters) for op in loop.body if isinstance(op, LoopOp))


def unrolled(loop: LoopOp) -> Iterator[Op]:
    """The operations of all turns of a loop."""
    for index in range(loop.count):
        yield from _at(loop.body, loop.number, index)


def _at(ops: Sequence[Op], loop: int, index: int) -> Iterator[Op]:
    for op in ops:
        if isinstance(op, SetOp):
            yield SetOp(op.register, op.value.at(loop, index))
        elif isinstance(op, LoopOp):
            yield LoopOp(op.number, op.count, tuple(_at(op.body, loop, index)), op.label)
        else:
            yield op


def entry(pointer: Pointer, loop: LoopOp, allocation: Allocation) -> Affine | None:
    """What a pointer must hold at the beginning of a turn, in terms of the loop's index; None if the loop does not use it."""
    for op in loop.body:
        if isinstance(op, SetOp) and allocation.by_use.get(op) is pointer:
            return op.value
        if isinstance(op, LoopOp):
            value = entry(pointer, op, allocation)
            if value is not None:
                return value.at(op.number, 0)
    return None
