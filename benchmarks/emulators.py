"""How fast the emulators are, beside their targets; medians of several runs in CPU seconds, warm unless said otherwise.

Run it with `python -m benchmarks.emulators`; it exits with 1 if a target is missed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np

from isa import Program, assemble
from isa.table import COUNTERS
from rpa.arch.config import ArrayConfig
from rpa.arch.memory import build_memory
from rpa.emu import fast, step

LAYER = "conv3x3"
"""Kernel of `programs/`: 32x32x16 to 16 channels on 16x16 PEs."""
MESH = "depthwise"
"""Kernel of `programs/` whose contexts are more than `mac a, w`."""
LARGE = Path(__file__).with_name("conv_large.rpa")
MAX_CYCLES = 100_000_000
PLAIN_CYCLES = 2_000
"""Cycles after which the plain stepping emulator is stopped; its speed does not change later."""
REPEATS = 7
MIN_PLAIN, MIN_COMPILED = 20e3, 1e6
MAX_LAYER_SEC, MAX_LARGE_SEC = 5e-3, 1.0
MACS = next(counter.index for counter in COUNTERS if counter.name == "macs")


def seconds(action: Callable[[], object], repeats: int) -> float:
    """Median CPU time of ``action``, after one run to warm up."""
    action()
    times = []
    for _ in range(repeats):
        start = process_time()
        action()
        times.append(process_time() - start)
    return median(times)


def random_inputs(program: Program, seed: int = 0) -> dict[str, np.ndarray]:
    """Random values for every input; parameters that keep results within 16 bits."""
    rng = np.random.default_rng(seed)
    inputs = {}
    for tensor in program.inputs():
        if tensor.kind == "params":
            inputs[tensor.name] = np.tile(np.array([0, 1 << 30, 45]), (tensor.shape[0], 1))
        else:
            low, high = (-(1 << (tensor.bits - 1)), 1 << (tensor.bits - 1)) if tensor.signed else (0, 1 << tensor.bits)
            inputs[tensor.name] = rng.integers(low, high, tensor.shape)
    return inputs


def layer(config: ArrayConfig, name: str = LAYER) -> tuple[Program, np.ndarray]:
    """A kernel at 16 bits, and its memory."""
    from rpa.report.kernels import KERNELS

    program = KERNELS[name].assemble(config, 16, 16)
    return program, build_memory(program, random_inputs(program))


def stepping_speed(program: Program, memory: np.ndarray) -> tuple[float, float]:
    """Cycles a CPU second of the plain and of the compiled stepping emulator, without setting up their memory."""
    def machine(compiled: bool) -> step.StepMachine:
        return step.StepMachine(program, memory, compiled=compiled, max_cycles=MAX_CYCLES)

    def speed(compiled: bool, cycles: int) -> float:
        rates = []
        for _ in range(REPEATS if compiled else 3):
            made = machine(compiled)
            start = process_time()
            done = made.cycle(cycles)
            rates.append(done / (process_time() - start))
        return median(rates)

    machine(True).run()
    return speed(False, PLAIN_CYCLES), speed(True, MAX_CYCLES)


def large_layer(config: ArrayConfig) -> tuple[Program, np.ndarray]:
    program = assemble(LARGE, config)
    return program, build_memory(program, random_inputs(program))


def report(what: str, value: float, unit: str, target: float, *, at_most: bool) -> bool:
    """Print a figure, its target and the ratio (1 or more: met); True if it is met."""
    ratio = target / value if at_most else value / target
    print(f"{what:<52} {value:14,.3f} {unit:<9} {'<=' if at_most else '>='} {target:<12,.6g} {ratio:8.2f}x {'ok' if ratio >= 1 else 'MISSED'}")
    return ratio >= 1


def main() -> int:
    config = ArrayConfig.preset("default")
    program, memory = layer(config)
    cycles = step.run(program, memory, max_cycles=MAX_CYCLES).cycles
    compiled = seconds(lambda: step.run(program, memory, max_cycles=MAX_CYCLES), REPEATS)
    speeds = {name: stepping_speed(*layer(config, name)) for name in (LAYER, MESH)}
    whole = seconds(lambda: fast.run(program, memory, max_cycles=MAX_CYCLES), REPEATS * 3)
    large, large_memory = large_layer(config)
    done = fast.execute(large, large_memory.copy(), max_cycles=MAX_CYCLES)
    slow = seconds(lambda: fast.run(large, large_memory, max_cycles=MAX_CYCLES), 3)
    print(f"3x3 layer, 32x32x16 to 16 channels, 16x16 PEs: {cycles:,} cycles; 256-channel 56x56 layer: {done.outcome.cycles:,} cycles, "
          f"by the {'event loop' if done.stepped_because is None else 'stepping emulator: ' + done.stepped_because}")
    met = []
    for name, (plain, fast_path) in speeds.items():
        met.append(report(f"stepping emulator, plain, {name}", plain, "cycles/s", MIN_PLAIN, at_most=False))
        met.append(report(f"stepping emulator, compiled, {name}", fast_path, "cycles/s", MIN_COMPILED, at_most=False))
    met += [
        report("fast emulator, 3x3 layer, whole program", 1e3 * whole, "ms", 1e3 * MAX_LAYER_SEC, at_most=True),
        report("fast emulator, 256-channel 56x56 3x3 layer", slow, "s", MAX_LARGE_SEC, at_most=True),
    ]
    print(f"fast against compiled stepping on the 3x3 layer: {compiled / whole:.1f}x; on the large layer "
          f"{done.outcome.cycles / slow / 1e6:.1f} M cycles/s, {done.outcome.counters[MACS] / slow / 1e9:.2f} GMAC/s")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
