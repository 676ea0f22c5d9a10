"""NOR-flash macros in Python: what a case asks for, and the side of them that looks at the machine's pins."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpa.arch.config import ArrayConfig
from rpa.arch.macro import CELLS_IN_A_WORD, Macro, Twin
from rpa.flash.chip import Chip
from rpa.flash.spec import Errors, MacroSpec, for_config

KINDS = ("twin", "chip", "all errors")


def macro_of(kind: str, config: ArrayConfig, seed: int) -> Macro:
    """New macros with cells 0: exact, with programming errors and read noise, or with every error."""
    if kind == "twin":
        return Twin(config)
    spec = MacroSpec.preset("sonos40")
    if kind == "all errors":
        spec = MacroSpec(device=spec.device, errors=Errors.all())
    return Chip(for_config(config, spec), macros=config.nv_macros, seed=seed)


class MacroPins:
    """A model behind the pins `nv_*` of a machine: it takes programmed words and digits, and gives codes when their time has come."""

    def __init__(self, dut: Any, config: ArrayConfig, model: Macro) -> None:
        self.dut, self.config, self.model = dut, config, model
        self.due = -1
        self.codes = 0
        self.operations = 0

    def drive(self, now: int) -> None:
        """Inputs of cycle ``now``."""
        self.dut.nv_done.value = int(now == self.due)
        if now == self.due:
            self.dut.nv_codes.value = self.codes

    def sample(self, now: int) -> None:
        """Outputs of cycle ``now``."""
        if int(self.dut.nv_prog_valid.value):
            self._program()
        if int(self.dut.nv_start.value):
            self._start(now)

    def _pin(self, name: str) -> int:
        return int(getattr(self.dut, f"nv_{name}").value)

    def _program(self) -> None:
        bits, packed = self.config.nv_cell_bits, self._pin("prog_data")
        cells = np.array([packed >> bits * i & (1 << bits) - 1 for i in range(CELLS_IN_A_WORD)], np.uint8)
        self.model.program(self._pin("prog_macro"), self._pin("prog_row"), CELLS_IN_A_WORD * self._pin("prog_col"), cells)

    def _start(self, now: int) -> None:
        config, packed = self.config, self._pin("digits")
        bits, first, count = config.nv_dac_bits, self._pin("line0") * config.cols, self._pin("lines") * config.cols
        digits = np.array([packed >> bits * row & (1 << bits) - 1 for row in range(config.nv_rows)], np.uint8)
        codes = self.model.convert(self._pin("macro"), digits[None], slice(first, first + count), self._pin("range"), np.array([self._pin("limit")]))
        self.codes = sum(int(code) << config.nv_adc_bits * (first + i) for i, code in enumerate(codes[0]))
        self.due = now + config.nv_settle + -(-count // config.nv_adcs) * config.nv_adc_cycles
        self.operations += 1
