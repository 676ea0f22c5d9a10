"""Errors of `rpa.run` and of the checks before a run."""

from __future__ import annotations

from isa.errors import RpaError


class RunError(RpaError):
    """A program that cannot be run as asked. Inputs that do not fit are `rpa.arch.errors.InputError`."""

    code = "E500"


class BackendError(RunError):
    """A backend that does not exist, or whose package is not installed."""

    code = "E501"


class PreflightError(RunError):
    """What a program would do wrong on every run, found before it runs. ``findings`` lists all of it in program order."""

    code = "E510"

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        self.findings = findings
        super().__init__("\n".join(str(finding) for finding in findings))


class Finding(RunError):
    """One thing found by the preflight: where it is, what it is, and what to do.

    ``kind`` is one of :data:`KINDS`; ``pc`` the address of the instruction.
    """

    code = "E511"

    def __init__(self, kind: str, where: str, pc: int, text: str, hint: str) -> None:
        self.kind = kind
        self.where = where
        self.pc = pc
        self.text = text
        self.hint = hint
        super().__init__(f"{where}: error: {text}\nhint: {hint}")


KINDS = ("overflow", "deadlock", "bank_range", "mem_range", "registers")
