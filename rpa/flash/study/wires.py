"""Correction of weights for wire resistance before programming: what is left, against the mean-factor form at the same cost.

Mean-factor form: CoMN, 10.1109/TCAD.2024.3358220. Claimed here: the residual is at least 3 times lower. Columns of Laplace-distributed 4-bit
magnitudes, half the rows driven, a gate-driven array of cells of 16 uS at 0.1 V. The own-line form makes the slope right at the mean input, and its
sums cost what the mean factor's do; the exact one takes the ladder's potentials instead (`rpa.flash.mitigate.correct`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rpa.flash.ir import ladder
from rpa.flash.mitigate import correct
from rpa.flash.spec import Wires

VOLT, MAX_SIEMENS, COLS, VECTORS = 0.1, 16e-6, 64, 64
METHODS: dict[str, tuple[Callable[..., correct.Correction], correct.Form]] = {
    "mean factor": (correct.mean_factor, "mean"), "own line": (correct.own_line, "slope"), "exact": (correct.exact, "slope")}
CLAIM = 3.0


def run(*, sizes: tuple[int, ...] = (128, 256, 512, 1024), ohms: tuple[float, ...] = (0.15, 0.68, 3.0), seed: int = 0) -> list[dict[str, object]]:
    """A row for each array: root-mean-square error of restored bit-line currents in % of their root mean square."""
    return [_row(rows, ohm, seed) for rows in sizes for ohm in ohms]


def _row(rows: int, ohm: float, seed: int) -> dict[str, object]:
    rng = np.random.default_rng([seed, rows])
    size = np.abs(rng.laplace(size=(rows, COLS)))
    cells = np.rint(15 * size / size.max()) / 15 * MAX_SIEMENS
    inputs = np.array([rng.permutation(rows) < rows // 2 for _ in range(VECTORS)]).astype(float)
    wires = Wires(bit_line_ohm=ohm, read_volt=VOLT)
    wanted = VOLT * inputs @ cells
    seen = ladder.currents(cells, inputs, read_volt=VOLT, bit_line_ohm=ohm)
    left = {"no correction": _error(seen, wanted)}
    for name, (method, form) in METHODS.items():
        made = method(cells, wires, form=form)
        left[name] = _error(made.restored(ladder.currents(made.cells, inputs, read_volt=VOLT, bit_line_ohm=ohm), VOLT), wanted)
    return {"rows": rows, "wire [ohm/cell]": ohm, "current lost [%]": 100 * float(1 - seen.sum() / wanted.sum()),
            **{f"{name} [%]": 100 * error for name, error in left.items()}, "own line better [x]": left["mean factor"] / left["own line"],
            "exact better [x]": left["mean factor"] / left["exact"]}


def _error(seen: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.sqrt(np.square(seen - wanted).mean() / np.square(wanted).mean()))
