"""What `rpa compile --explain` says: how each layer is computed and why, what it costs, and which banks it uses. Units in every column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from isa.table import COUNTERS
from rpa.compile.explain import LayerReport, NetReport
from rpa.report.tables import Row

WORD_BYTES = 2
UNITS = {"cycles": "cycles", "steps": "cycles", "macs": "MAC", "utilisation": "1"} | {counter.name: counter.unit for counter in COUNTERS}
BANKS = {"A read": "a_reads", "A reused": "a_hits", "W read": "w_reads", "W reused": "w_hits", "O read": "o_reads", "A written": "a_writes",
         "W written": "w_writes", "P written": "p_writes", "O written": "o_writes"}
FLASH_BANKS = {"X read": "x_reads", "X written": "x_writes"}
"""Of networks with layers on NOR-flash macros."""
"""Column -> counter. Reused: a word that the array used again without reading the bank."""


def mapping_text(report: NetReport) -> str:
    """For each layer: shapes, widths, kernel with its tiles, and what limits it."""
    return "\n".join(f"{layer.name}: {layer.shapes}, {_bits(layer)} bits\n    {layer.mapping}\n    limited by {layer.limit}: {layer.why}"
                     for layer in report.layers)


def _bits(layer: LayerReport) -> str:
    """Activation x weight of each term; of a layer without weights the activations alone."""
    return layer.widths.replace("x0", "")


def cost_rows(report: NetReport) -> list[Row]:
    """Cycles, utilisation and external traffic of each layer, and of all."""
    rows = [_cost(report, layer.name, _bits(layer), layer.cycles, layer.utilisation, layer.macs, layer.counters, layer.limit)
            for layer in report.layers]
    return [*rows, _cost(report, "all", "", report.working, report.utilisation, report.macs, _totals(report), "")]


def _cost(report: NetReport, name: str, bits: str, cycles: int, utilisation: float, macs: int, counters: Mapping[str, int], limit: str) -> Row:
    return {"layer": name, "bits": bits, "cycles": cycles, "share [%]": 100 * cycles / report.working if report.working else 0.0,
            "utilisation [%]": 100 * utilisation, "work [MAC]": macs,
            "external read [bytes]": WORD_BYTES * counters.get("ext_read_words", 0),
            "external written [bytes]": WORD_BYTES * counters.get("ext_write_words", 0), "limited by": limit}


def access_rows(report: NetReport) -> list[Row]:
    """16-bit words that each layer reads from and writes to the banks, by operand, and that it uses again."""
    named = [(layer.name, layer.counters) for layer in report.layers]
    banks = BANKS | (FLASH_BANKS if report.total("x_reads") else {})
    return [{"layer": name} | {f"{column}\n[words]": counters.get(counter, 0) for column, counter in banks.items()}
            for name, counters in (*named, ("all", _totals(report)))]


def _totals(report: NetReport) -> dict[str, int]:
    return {name: report.total(name) for name in {name for layer in report.layers for name in layer.counters}}


def explained(report: NetReport) -> dict[str, Any]:
    """The report for JSON, with units."""
    return {"network": report.network, "cycles": report.cycles, "programming": report.programming, "utilisation": report.utilisation,
            "macs": report.macs, "units": UNITS,
            "layers": [asdict(layer) for layer in report.layers]}
