"""A program of 12,672 short runs at 8 bit, 15 GMAC, in 128 MiB of external memory: what a compiled VGG-16 costs the fast emulator.

Run it with `python -m benchmarks.many_runs`; it exits with 1 if a target is missed. CPU seconds; values are compared with NumPy.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from time import process_time

import numpy as np

import rpa
from benchmarks.emulators import random_inputs, report
from isa import Program, assemble
from rpa.arch.config import ArrayConfig
from rpa.emu import fast
from rpa.emu.fast.trace import trace
from rpa.runner.preflight import inspect

SOURCE = Path(__file__).with_suffix(".rpa")
MAX_CYCLES = 1_000_000_000
MAX_RUN_SEC, MAX_COMMAND_US = 5.0, 50.0
SHIFT = 42
"""With a multiplier of 2^30 a result is the sum divided by 2^12."""
CHECKED = 500


def network(layers: int | None = None) -> tuple[Program, dict[str, np.ndarray]]:
    """The program and random inputs."""
    config = replace(ArrayConfig.preset("default"), mem_bytes=1 << 27)
    program = assemble(SOURCE, config, defines=None if layers is None else {"LAYERS": layers})
    inputs = random_inputs(program)
    inputs["scale"] = np.tile(np.array([0, 1 << 30, SHIFT]), (inputs["scale"].shape[0], 1))
    return program, inputs


def wrong(inputs: dict[str, np.ndarray], out: np.ndarray) -> int:
    """Of some results chosen at random, how many are not what NumPy says."""
    rng, act, weight = np.random.default_rng(0), inputs["act"].astype(np.int64), inputs["weight"].astype(np.int64)
    count = 0
    for place in zip(*(rng.integers(0, size, CHECKED) for size in out.shape), strict=True):
        layer, y, x, channel = map(int, place)
        total = int((act[:, y:y + 3, x:x + 3] * weight[layer, channel].reshape(len(act), 3, 3, -1)).sum())
        count += out[place] != min(max((total * 2**30 + 2**(SHIFT - 1)) >> SHIFT, -128), 127)
    return count


def main() -> int:
    program, inputs = network()
    fast.execute(*_small(), max_cycles=MAX_CYCLES)  # loads the compiled code
    start = process_time()
    cold = rpa.run(program, inputs, max_cycles=MAX_CYCLES)
    first, start = process_time() - start, process_time()
    result = rpa.run(program, inputs, max_cycles=MAX_CYCLES)
    warm, start = process_time() - start, process_time()
    commands = len(trace(program, max_cycles=MAX_CYCLES).rows)
    followed, start = process_time() - start, process_time()
    inspect(replace(program, name="again"), max_cycles=MAX_CYCLES)
    checked = process_time() - start
    bad = wrong(inputs, result.outputs["out"]) + (cold.counters != result.counters)
    by_events = result.backend_detail or "by the event loop"
    print(f"{commands:,} commands, {result.cycles:,} cycles, {result.counters['macs'] / 1e9:.2f} GMAC, "
          f"utilisation {result.utilisation:.3f}, {by_events}")
    print(f"first rpa.run {first:.2f} s; commands alone {followed:.3f} s, preflight {checked:.3f} s; {bad} of {CHECKED} results wrong")
    met = [report("rpa.run, warm", warm, "s", MAX_RUN_SEC, at_most=True),
           report("event loop without data, each command", 1e6 * followed / commands, "us", MAX_COMMAND_US, at_most=True)]
    return 0 if all(met) and not bad and result.backend_detail is None else 1


def _small() -> tuple[Program, np.ndarray]:
    config = ArrayConfig.preset("tiny")
    return assemble("halt", config), np.zeros(config.mem_bytes, np.uint8)


if __name__ == "__main__":
    sys.exit(main())
