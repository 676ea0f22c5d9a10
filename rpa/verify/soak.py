"""Random programs for as long as there is time: resumable, with one page of results that names every failing seed.

`python -m rpa.verify.soak --minutes 480 --folder build/soak`; called again it goes on with the next seed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from isa.files import write_atomic
from isa.table import COUNTERS
from rpa.arch.config import ArrayConfig
from rpa.verify.compare import BACKENDS, Backend, compare_random, describe
from rpa.verify.random_programs import RandomProgram, random_program
from rpa.verify.shrink import shrink

NAMES = ("step", "rtl", "fast")
PRESETS = ("tiny", "small")
FIRST_SEED = 1_000_000
"""Beyond the seeds of `make test`."""
SHRINK_ATTEMPTS = 400
INSTRUCTIONS = next(counter.index for counter in COUNTERS if counter.name == "instructions")


@dataclass
class Tally:
    """What has been run on one machine so far."""

    next_seed: int = FIRST_SEED
    programs: int = 0
    instructions: int = 0
    cycles: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    """Fault name or `halt` -> programs."""
    failures: list[str] = field(default_factory=list)
    """Seed, difference and source of the shrunk program, one text each."""


def load_tallies(folder: Path) -> dict[str, Tally]:
    """Return what earlier runs left in ``folder``, or fresh tallies."""
    state = folder / "state.json"
    stored = json.loads(state.read_text(encoding="utf-8")) if state.exists() else {}
    return {preset: Tally(**stored.get(preset, {})) for preset in PRESETS}


def page(tallies: Mapping[str, Tally]) -> str:
    """Return the page of results as text."""
    lines = ["# Soak: random programs, stepping emulator = RTL at every cycle, = fast emulator at the end", ""]
    for preset, tally in tallies.items():
        ends = ", ".join(f"{name} {count}" for name, count in sorted(tally.ends.items(), key=lambda item: -item[1]))
        lines += [f"## {preset}", f"seeds {FIRST_SEED}..{tally.next_seed - 1}: {tally.programs:,} programs, {tally.instructions:,} instructions, "
                  f"{tally.cycles:,} cycles, {len(tally.failures)} failures", f"ends: {ends}", ""]
        lines += [f"```\n{failure}\n```\n" for failure in tally.failures]
    return "\n".join(lines)


def soak(folder: Path, minutes: float, *, names: Sequence[str] = NAMES, backends: Mapping[str, Backend] = BACKENDS,
         clock: Callable[[], float] = time.monotonic) -> dict[str, Tally]:
    """Run programs on every preset in turn until the time is over; state and page are written after every program."""
    folder.mkdir(parents=True, exist_ok=True)
    tallies, end = load_tallies(folder), clock() + 60 * minutes
    while clock() < end:
        for preset, tally in tallies.items():
            _run_one(random_program(tally.next_seed, ArrayConfig.preset(preset)), tally, names, backends)
            tally.next_seed += 1
        write_atomic(folder / "state.json", json.dumps({preset: asdict(tally) for preset, tally in tallies.items()}).encode())
        write_atomic(folder / "report.md", page(tallies).encode())
    return tallies


def _run_one(case: RandomProgram, tally: Tally, names: Sequence[str], backends: Mapping[str, Backend]) -> None:
    found = compare_random(case, names=names, every_cycle=True, backends=backends)
    outcome = found.outcomes[names[0]]
    end = outcome.fault.name if outcome.fault else "halt"
    tally.programs += 1
    tally.instructions += int(outcome.counters[INSTRUCTIONS])
    tally.cycles += outcome.cycles
    tally.ends[end] = tally.ends.get(end, 0) + 1
    if found.difference is not None:
        small = shrink(case, lambda tried: not compare_random(tried, names=names, backends=backends).equal, attempts=SHRINK_ATTEMPTS)
        tally.failures.append(f"{describe(case, found.difference).splitlines()[0]}\nshrunk to:\n{describe(small, 'as above')}")


def main() -> None:
    """Command line of the soak."""
    parser = argparse.ArgumentParser(description="random programs on both emulators and the RTL, resumable")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--folder", type=Path, default=Path("build/soak"))
    arguments = parser.parse_args()
    tallies = soak(arguments.folder, arguments.minutes)
    print(page(tallies))
    raise SystemExit(1 if any(tally.failures for tally in tallies.values()) else 0)


if __name__ == "__main__":
    main()
