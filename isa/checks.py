"""Checks of a whole program: loop bodies and branches that the core cannot run, tokens that cannot match."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from isa.diagnostics import Fault, Span
from isa.encoding import BY_NAME
from isa.source import Reporter, Site
from isa.spec import OPCODE_LO
from isa.table import LOOP_DEPTH

NOWHERE = Span(0, 1, 2)
_JUMPS_AWAY = frozenset(BY_NAME[name].opcode for name in ("halt", "jal", "jalr"))


@dataclass(frozen=True, eq=False)
class Jump:
    """A branch, call or loop of the program."""

    address: int
    target: int
    kind: str
    """`branch`, `call` (jal with a return address) or `loop`."""
    span: Span = NOWHERE
    site: Site | None = None
    """Where it is written; None where there is no source (disassembler)."""


@dataclass(frozen=True, eq=False)
class Command:
    """An engine instruction with its tokens."""

    engine: str
    waits: tuple[str, ...]
    signals: tuple[str, ...]
    span: Span
    site: Site


class FlowFault(NamedTuple):
    """A loop or branch that breaks a rule; ``{other}`` in the message is where the other loop stands."""

    jump: Jump
    message: str
    hint: str = ""
    other: Jump | None = None


def target_limit(kind: str, words: int) -> int:
    """Return the highest target in a program of ``words`` words: a loop may end behind the last one."""
    return words if kind == "loop" else words - 1


def flow_faults(jumps: list[Jump]) -> list[FlowFault]:
    """Return what breaks the rules of docs/design.md section 2 about loop bodies, one fault for each jump at most."""
    first: dict[int, FlowFault] = {}
    for fault in _flow_faults(jumps):
        first.setdefault(fault.jump.address, fault)
    return list(first.values())


def _flow_faults(jumps: list[Jump]) -> Iterator[FlowFault]:
    loops = [jump for jump in jumps if jump.kind == "loop"]
    sound = [loop for loop in loops if loop.target > loop.address + 1]
    for loop in loops:
        if loop.target <= loop.address + 1:
            why = "has no instructions" if loop.target == loop.address + 1 else "ends before it starts"
            yield FlowFault(loop, f"the loop body {why}", "the label stands behind the last instruction of the body")
    by_end: dict[int, Jump] = {}
    for loop in sorted(sound, key=lambda one: one.address):
        if loop.target in by_end:
            yield FlowFault(loop, "this loop body ends where that of {other} ends", "put an instruction (`nop`) behind the inner loop",
                            by_end[loop.target])
        by_end.setdefault(loop.target, loop)
    for jump in jumps:
        yield from _last_of_body(jump, by_end.get(jump.address + 1))
    yield from _nesting(sound, [jump for jump in jumps if jump.kind == "branch"])


def _last_of_body(jump: Jump, around: Jump | None) -> Iterator[FlowFault]:
    """A loop or call must not be the last instruction of a body: the body's end would be missed."""
    if around is None or around is jump:
        return
    if jump.kind == "loop":
        yield FlowFault(jump, "a loop as the last instruction of the loop body of {other}", "put a `nop` behind it", around)
    elif jump.kind == "call":
        yield FlowFault(jump, "a call as the last instruction of the loop body of {other}; it returns behind the body", "put a `nop` behind it",
                        around)


def _nesting(loops: list[Jump], branches: list[Jump]) -> Iterator[FlowFault]:
    """Sweep over the addresses with the stack of bodies around each."""
    stack: list[Jump] = []
    for jump in sorted([*loops, *branches], key=lambda one: one.address):
        while stack and stack[-1].target <= jump.address:
            stack.pop()
        around = stack[-1] if stack else None
        if jump.kind == "branch":
            if around is not None and not around.address < jump.target < around.target:
                yield FlowFault(jump, "a branch out of the loop body of {other}", "the loop would stay on the core's stack; branch instead of "
                                "using `loop`", around)
        elif around is not None and jump.target > around.target:
            yield FlowFault(jump, "the loop body ends outside the body of {other} that it starts in", "", around)
        else:
            stack.append(jump)


def bad_jumps(jumps: list[Jump], words: int) -> set[int]:
    """Return the addresses of jumps that the assembler refuses."""
    inside = [jump for jump in jumps if 0 <= jump.target <= target_limit(jump.kind, words)]
    outside = {jump.address for jump in jumps} - {jump.address for jump in inside}
    return outside | {fault.jump.address for fault in flow_faults(inside)}


def check_flow(jumps: list[Jump], reporter: Reporter) -> None:
    """Report the faults of :func:`flow_faults`, and warn of loops nested deeper than the core's stack."""
    for fault in flow_faults(jumps):
        other = fault.other.site.line.where if fault.other is not None and fault.other.site is not None else ""
        if fault.jump.site is not None:
            reporter.report(Fault("E116", fault.message.format(other=other), fault.jump.span, hint=fault.hint), fault.jump.site)
    _warn_of_depth(sorted((jump for jump in jumps if jump.kind == "loop"), key=lambda one: one.address), reporter)


def _warn_of_depth(loops: list[Jump], reporter: Reporter) -> None:
    ends: list[int] = []
    for loop in loops:
        while ends and ends[-1] <= loop.address:
            ends.pop()
        if len(ends) == LOOP_DEPTH and loop.site is not None:
            reporter.warn("W103", f"more than {LOOP_DEPTH} nested loops fault with LOOP_DEPTH", loop.span, loop.site,
                          hint="use a branch for the outermost loop")
        ends.append(loop.target)


def check_end(code: list[int], site: Site, span: Span, reporter: Reporter) -> None:
    """Warn if the program's last instruction, at ``site``, does not stop or jump."""
    if code and code[-1] >> OPCODE_LO not in _JUMPS_AWAY:
        reporter.warn("W103", "the program runs past its end", span, site, hint="end the program with `halt`")


def check_tokens(commands: list[Command], reporter: Reporter) -> None:
    """Warn of tokens that are waited for and never given, or given and never taken."""
    given: dict[tuple[str, str], Command] = {}
    taken: dict[tuple[str, str], Command] = {}
    for command in commands:
        for other in command.signals:
            given.setdefault((command.engine, other), command)
        for other in command.waits:
            taken.setdefault((other, command.engine), command)
    for (giver, taker), command in taken.items():
        if (giver, taker) not in given:
            reporter.warn("W102", f"waits for a token from `{giver}`, but no `{giver}` instruction has signal({taker})", command.span, command.site,
                          hint="this will deadlock")
    for (giver, taker), command in given.items():
        if (giver, taker) not in taken:
            reporter.warn("W102", f"gives a token to `{taker}`, but no `{taker}` instruction has wait({giver})", command.span, command.site,
                          hint="after 15 of them TOKEN_OVERFLOW")
