"""Checks of a whole program: loop bodies and branches that the core cannot run, tokens that cannot match."""

from __future__ import annotations

from dataclasses import dataclass

from isa.diagnostics import Fault, Span
from isa.encoding import BY_NAME
from isa.source import Reporter, Site
from isa.spec import OPCODE_LO
from isa.table import LOOP_DEPTH

_JUMPS_AWAY = frozenset(BY_NAME[name].opcode for name in ("halt", "jal", "jalr"))


@dataclass(frozen=True, eq=False)
class Jump:
    """A branch, call or loop of the program."""

    address: int
    target: int
    kind: str
    """`branch`, `call` (jal with a return address) or `loop`."""
    span: Span
    site: Site


@dataclass(frozen=True, eq=False)
class Command:
    """An engine instruction with its tokens."""

    engine: str
    waits: tuple[str, ...]
    signals: tuple[str, ...]
    span: Span
    site: Site


def _inside(address: int, loop: Jump) -> bool:
    return loop.address < address < loop.target


def check_flow(jumps: list[Jump], code: list[int], last: tuple[Site, Span] | None, reporter: Reporter) -> None:
    """Report loops and branches that break the rules of docs/design.md section 2."""
    loops = [jump for jump in jumps if jump.kind == "loop"]
    sound = [loop for loop in loops if _check_body(loop, reporter)]
    ends: dict[int, Jump] = {}
    for loop in sorted(sound, key=lambda one: one.address):
        if loop.target in ends:
            first = ends[loop.target].site.line.where
            _error(reporter, loop, f"this loop body ends where that of {first} ends", "put an instruction (`nop`) behind the inner loop")
        ends.setdefault(loop.target, loop)
    by_end = {loop.target - 1: loop for loop in sound}
    for jump in jumps:
        _check_place(jump, by_end, reporter)
    _check_nesting(sound, [jump for jump in jumps if jump.kind != "loop"], reporter)
    if code and last is not None and code[-1] >> OPCODE_LO not in _JUMPS_AWAY:
        reporter.warn("W103", "the program runs past its end", last[1], last[0], hint="end the program with `halt`")


def _error(reporter: Reporter, jump: Jump, message: str, hint: str = "") -> None:
    reporter.report(Fault("E116", message, jump.span, hint=hint), jump.site)


def _check_body(loop: Jump, reporter: Reporter) -> bool:
    if loop.target > loop.address + 1:
        return True
    why = "has no instructions" if loop.target == loop.address + 1 else "ends before it starts"
    _error(reporter, loop, f"the loop body {why}", "the label stands behind the last instruction of the body")
    return False


def _check_place(jump: Jump, by_end: dict[int, Jump], reporter: Reporter) -> None:
    """A loop or call must not be the last instruction of a body: the body's end would be missed."""
    around = by_end.get(jump.address)
    if around is None or around is jump:
        return
    if jump.kind == "loop":
        _error(reporter, jump, f"a loop as the last instruction of the loop body of {around.site.line.where}", "put a `nop` behind it")
    elif jump.kind == "call":
        _error(reporter, jump, f"a call as the last instruction of the loop body of {around.site.line.where}: it returns behind the body",
               "put a `nop` behind it")


def _check_nesting(loops: list[Jump], others: list[Jump], reporter: Reporter) -> None:
    """Sweep over the addresses with the stack of bodies around each."""
    starts = {loop.address: loop for loop in loops}
    stack: list[Jump] = []
    for jump in sorted([*loops, *others], key=lambda one: one.address):
        while stack and stack[-1].target <= jump.address:
            stack.pop()
        if jump.kind == "branch" and stack and not _reaches(jump, stack[-1]):
            _error(reporter, jump, f"a branch out of the loop body of {stack[-1].site.line.where}", "the loop would stay on the core's stack; use a "
                   "branch instead of the loop")
        if starts.get(jump.address) is jump:
            if stack and jump.target > stack[-1].target:
                _error(reporter, jump, f"the loop body ends outside the body of {stack[-1].site.line.where} that it starts in")
                continue
            stack.append(jump)
            if len(stack) == LOOP_DEPTH + 1:
                reporter.warn("W103", f"more than {LOOP_DEPTH} nested loops fault with LOOP_DEPTH", jump.span, jump.site,
                              hint="use a branch for the outermost loop")


def _reaches(jump: Jump, loop: Jump) -> bool:
    return _inside(jump.target, loop)


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
