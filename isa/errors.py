"""The error tree: every fault that a user's input can cause in `isa`, by stage, each with a stable code.

Command lines print `str(error)` and never a traceback. :data:`CODES` lists every code with its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isa.diagnostics import Diagnostic

CODES = {
    "E000": "a fault in the input that has no code of its own",
    "E100": "a source with faults; every one of them has one of the codes below",
    "E101": "the source cannot be read: missing, not UTF-8, a NUL, too large, too long a line, empty",
    "E102": "a statement does not parse",
    "E103": "a block is not closed, or closed twice",
    "E104": "an unknown instruction, macro or directive",
    "E105": "an unknown name: register, symbol, context, engine, PE operation, ...",
    "E106": "a name defined twice, or reserved",
    "E107": "an operand too many, too few, or of the wrong kind",
    "E108": "a value outside its range",
    "E109": "an expression without a value: division by zero, a huge shift, a circular definition",
    "E110": "a name used where its value is not known yet, or where its kind does not fit",
    "E111": "`.include` or `file` outside the source's folder, missing, circular or too deep",
    "E112": "macros or repeats that expand to too much",
    "E113": "`.assert` failed",
    "E114": "a data file or value list that does not fit its tensor",
    "E115": "external memory or instruction memory overflows",
    "E116": "a loop body or branch that the machine cannot run",
    "E117": "a value given from outside (`defines`) that the source does not ask for",
    "E118": "more faults than one report lists",
    "E119": "an instruction for NOR-flash macros that this machine does not have",
    "W101": "r15, the assembler's register, used by hand",
    "W102": "a token that is waited for and never given, or given and never taken",
    "W103": "code that runs past the end of the program, loops nested too deep, a branch into a loop body",
    "W104": "a parameter that the requantizer will refuse",
    "E200": "a program file that cannot be read or written",
    "E201": "not a program file",
    "E202": "a program file of another format version",
    "E203": "a program file for another version of the instruction set",
    "E204": "a truncated program file",
    "E205": "a program file with bytes behind its end",
    "E206": "a program file whose checksum does not match",
    "E207": "a program file whose contents contradict each other",
    "E208": "a program that is too large for its machine, or for a program file",
    "E209": "a program built for another machine",
    "E301": "an instruction or context that cannot be encoded",
    "E302": "a word that is no legal instruction or context",
    "E303": "a name that the manual does not know",
}


LENGTH_DIFFERENCE, CANDIDATES = 4, 1000
"""Names that a suggestion is looked for among: of about the same length, and not more than this."""


class RpaError(Exception):
    """A fault in the input. ``code`` is stable and documented; ``str()`` says where, what came, what is allowed, what to do."""

    code = "E000"


class AsmError(RpaError):
    """Every fault of one source, in line order; ``str()`` is the whole report."""

    code = "E100"

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(diagnostic) for diagnostic in self.diagnostics))


class ProgramFileError(RpaError):
    """A program file that cannot be read or written."""

    code = "E200"


class MagicError(ProgramFileError):
    """Not a program file."""

    code = "E201"


class FormatVersionError(ProgramFileError):
    """A program file of another format version."""

    code = "E202"


class IsaVersionError(ProgramFileError):
    """A program file for another version of the instruction set."""

    code = "E203"


class TruncatedError(ProgramFileError):
    """A program file that ends too early."""

    code = "E204"


class TrailingBytesError(ProgramFileError):
    """A program file with bytes behind its end."""

    code = "E205"


class ChecksumError(ProgramFileError):
    """A program file whose contents were changed."""

    code = "E206"


class ContentError(ProgramFileError):
    """A program whose parts contradict each other: sections that overlap, counts that disagree, names used twice."""

    code = "E207"


class TooLargeError(ProgramFileError):
    """A program beyond instruction memory, external memory or the size of a program file."""

    code = "E208"


class MachineError(ProgramFileError):
    """A program that was built for another machine."""

    code = "E209"


class EncodingError(RpaError):
    """Operands that an instruction or context cannot hold."""

    code = "E301"


class DecodingError(RpaError):
    """A word that is no legal instruction or context."""

    code = "E302"


class UnknownNameError(RpaError):
    """A name that the manual does not know."""

    code = "E303"


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ``did you mean `x`?`` for the candidate nearest to ``name``, or an empty string."""
    by_lower = {candidate.lower(): candidate for candidate in candidates if abs(len(candidate) - len(name)) <= LENGTH_DIFFERENCE}
    if len(by_lower) > CANDIDATES:
        by_lower = dict(islice(by_lower.items(), CANDIDATES))
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"did you mean `{by_lower[close[0]]}`?" if close else ""
