"""Mutants of the RTL: many wrong operators in one Verilog text, each switched on by the plus argument `+mutant=N`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from random import Random

from hdl.sim.model import build_simulator
from hdl.verilog import to_verilog
from rpa.arch.config import ArrayConfig

SWAP = {"+": "-", "&": "|", "|": "&", "==": "!=", "<": ">=", "^": "|"}
_ASSIGN = re.compile(r"^  assign (?P<target>.+?) = (?P<left>[^?{]+?) (?P<operator>\+|&|\||==|<|\^) (?P<right>[^?{]+);$")
PACKAGE = "package mutation; int chosen; endpackage\n"
CHOICE = '  initial if (!$value$plusargs("mutant=%d", mutation::chosen)) mutation::chosen = 0;\nendmodule'
SEED = 20261121
BLOCKS = ("control", "dr", "ex", "ld", "st", "tokens", "faults", "queue_", "storage", "nv", "twin", "rpa_pe", "rpa_a_bank",
          "rpa_converter", "counters")
"""Parts of module names; every one gets its share of the mutants."""
FEW, FEW_IN = 3, ("counters",)
"""Mutants where most lines select bits of counters that no program of some thousand cycles sets."""


@dataclass(frozen=True)
class Mutant:
    """One changed line."""

    number: int
    module: str
    line: str


def mutate(text: str, per_block: int) -> tuple[str, list[Mutant]]:
    """Return the Verilog with ``per_block`` mutants in every block, and what they are; mutant 0 is the machine as it is."""
    lines = text.split("\n")
    places: dict[str, list[int]] = {block: [] for block in BLOCKS}
    modules, module = {}, ""
    for k, line in enumerate(lines):
        if line.startswith("module "):
            module = line.split("(")[0].removeprefix("module ").strip()
        block = next((b for b in BLOCKS if re.search(rf"(^|[.\\]){b}", module)), None)
        if block and _ASSIGN.match(line):
            places[block].append(k)
            modules[k] = module
    rng, mutants = Random(SEED), []
    for block in BLOCKS:
        for k in sorted(rng.sample(places[block], min(FEW if block in FEW_IN else per_block, len(places[block])))):
            mutants.append(Mutant(len(mutants) + 1, modules[k], lines[k].strip()))
            found = _ASSIGN.match(lines[k])
            target, left, operator, right = found.group("target", "left", "operator", "right")
            lines[k] = (f"  assign {target} = mutation::chosen == {len(mutants)} ? ({left} {SWAP[operator]} {right}) : ({left} {operator} {right});")
    mutated = "\n".join(lines)
    return PACKAGE + mutated.replace("endmodule", CHOICE, 1), mutants


def build_mutants(config: ArrayConfig, per_block: int) -> tuple[Path, list[Mutant]]:
    """Return the simulator that holds all mutants, and the list of them."""
    text, mutants = mutate(to_verilog(config, debug=True), per_block)
    return build_simulator(config, text, ".sv"), mutants
