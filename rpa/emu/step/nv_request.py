"""What NV asks a NOR-flash macro for, outside the clocked code: codes of one operation, or cells to program."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpa.arch.jit import plain
from rpa.arch.macro import CELLS_IN_A_WORD, Macro
from rpa.emu.step import layout as L
from rpa.emu.step.nv import lines_of
from rpa.emu.step.state import Arrays

_lines_of = plain(lines_of)


def answer_request(s: Any, m: Arrays, macro: Macro) -> None:
    """Answer the request that stands in ``s``, if one does, and clear it."""
    request = s[L.NV_REQUEST]
    if not request:
        return
    s[L.NV_REQUEST] = 0
    which = int(s[L.ACTIVE + L.NV_MACRO])
    if request == L.PROGRAM:
        word = int(s[L.NV_READ])
        cells = np.array([word >> 4 * i & 15 for i in range(CELLS_IN_A_WORD)], np.uint8) & ((1 << int(s[L.CELL_BITS])) - 1)
        macro.program(which, int(s[L.NV_CELL_ROW]), int(s[L.NV_CELL_COLUMN]), cells.astype(np.uint8))
        return
    start = int(s[L.ACTIVE + L.NV_LINE0] * s[L.COLS])
    columns = slice(start, start + int(_lines_of(s, L.ACTIVE) * s[L.COLS]))
    m.nv_codes[columns] = macro.convert(which, m.nv_digits.astype(np.uint8)[None], columns, int(s[L.ACTIVE + L.NV_RANGE]),
                                        np.array([s[L.NV_LIMIT]], np.int64))[0]
