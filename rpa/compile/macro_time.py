"""Closed forms of the NV engine's commands (docs/design.md, section 15): cycles and what they count."""

from __future__ import annotations

from collections import Counter

from isa.table import NV_DIMS
from rpa.arch.config import ArrayConfig

_DIFFERENTIAL, _REFERENCE = 1, 2
"""Values of nv.encoding."""


class NvShape:
    """What the registers of an `nvmac` say about its work."""

    def __init__(self, registers: dict[str, int], config: ArrayConfig) -> None:
        self._r, self._config = registers, config
        slices, encoding = self.get("slices"), self.get("encoding", 0)
        groups = -(-self.get("outs") // config.cols)
        per_group = slices * (2 if encoding == _DIFFERENTIAL else 1)
        reference = int(encoding == _REFERENCE)
        self.lines = groups * per_group + reference
        self.combine = groups * per_group + reference * slices
        self.words = self._product("k")
        self.vectors = self._product("n")
        signed = self.get("asigned")
        self.passes = -(-(self.get("abits", 16) - signed) // config.nv_dac_bits) + signed

    def get(self, name: str, reset: int = 1) -> int:
        return self._r.get(f"nv.{name}", reset)

    def _product(self, prefix: str) -> int:
        total = 1
        for loop in range(NV_DIMS):
            total *= self.get(f"{prefix}{loop}")
        return total

    @property
    def cycles(self) -> int:
        """From the start to the last visit."""
        config = self._config
        macro = config.nv_settle + -(-self.lines * config.cols // config.nv_adcs) * config.nv_adc_cycles
        return self.vectors * (self.words + 1 + self.passes * (1 + macro + self.combine))


def programming_cycles(registers: dict[str, int], config: ArrayConfig) -> int:
    """From the start of an `nvprog` to its last visit."""
    return registers.get("nv.rows", 1) * (registers.get("nv.k0", 1) + 1 + config.nv_prog_cycles)


def nv_counts(kind: str, registers: dict[str, int], config: ArrayConfig) -> Counter[str]:
    """Counters of a command that do not depend on data: conversions made, skipped and their bits do."""
    rows = registers.get("nv.rows", 1)
    if kind == "nvprog":
        words = rows * registers.get("nv.k0", 1)
        return Counter(x_reads=words, nv_programmed=4 * words)
    shape = NvShape(registers, config)
    return Counter(x_reads=shape.vectors * shape.words, nv_operations=shape.vectors * shape.passes,
                   nv_macs=shape.vectors * rows * shape.get("outs"))
