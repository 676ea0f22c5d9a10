"""Whole networks on 16x16 PEs at 16, 8, 4 and 2 bits: cycles, accesses, time to compile and to run; weights of their own, smooth random images."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from time import process_time

import numpy as np

from rpa import models
from rpa.compile.compiled import CompiledNet, compile_net
from rpa.models.registry import NETWORKS
from rpa.net import reference
from rpa.net.onnx_import import load_onnx
from rpa.quant.front import Calibrated
from rpa.quant.options import Options
from rpa.report.networks import change
from rpa.runner import Result

WIDTHS = ("16", "8", "4", "2")
SPEEDUPS = {"resnet8": (1.9, 3.5, 6.0), "resnet18": (1.95, 3.8, 7.0), "vgg16": (1.95, 3.8, 7.0)}
"""Targets at 8, 4 and 2 bits, at least."""
BANKS = dict.fromkeys(SPEEDUPS, (-71.0, -85.0, -92.0))
"""Bank accesses, at most; percent of change against 16 bits where every step reads both operands."""
EXTERNAL = dict.fromkeys(SPEEDUPS, (-50.0, -75.0, -87.5))
"""External bytes, at most; percent of change against 16 bits."""
RUN_SEC = {"resnet18": 1.0, "vgg16": 5.0}
"""Targets of a warm run at 8 bits, in one thread."""
COMPILE_SEC = {"resnet18": 10.0}
"""At 8 bits."""
HEADERS = (("", "", "", "speed-up", "in use", "banks", "external", "code", "compile", "warm run", "integers"),
           ("network", "bits", "cycles", "[x]", "[%]", "[% change]", "[% change]", "[words]", "[CPU s]", "[CPU s]", "equal"))
QUICK = ("resnet8", "ds_cnn", "mobilenet_v1_025", "resnet18")
"""What runs unless networks are named on the command line; VGG-16 takes minutes to quantize."""


def smooth_images(shape: tuple[int, ...], count: int = 2) -> np.ndarray:
    """Real numbers (count, C, H, W) whose neighbours are alike."""
    random = np.random.default_rng(0)
    images = random.normal(0, 1, (count, *shape)).astype(np.float32)
    for axis in (2, 3):
        images = (images + np.roll(images, 1, axis) + np.roll(images, 2, axis)) / 3**0.5
    return images


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network at one width."""

    cycles: int
    utilisation: float
    bank_words: int
    no_reuse_words: int
    """Bank accesses if every step read both operands."""
    external_bytes: int
    code: int
    compile_sec: float
    run_sec: float
    equal: bool
    """Every integer is the reference's."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A result beside its target."""

    name: str
    value: float
    target: float | None = None
    least: bool = False
    """Whether the target is the least that the value may be; else it is the most."""

    @property
    def missed(self) -> bool:
        return self.target is not None and (self.value < self.target if self.least else self.value > self.target)

    def text(self, digits: int) -> str:
        """Value and target in brackets."""
        wanted = "" if self.target is None else f" ({'>=' if self.least else '<='} {self.target:g})"
        return f"{self.value:.{digits}f}{wanted}"


def main(names: tuple[str, ...] = QUICK) -> int:
    """Print a line for each network and width, targets in brackets; 1 if a target is missed or an integer is wrong."""
    print("change: against the same network at 16 bits on the same array; of bank accesses, where every step there reads both operands")
    for line in HEADERS:
        print("{:16}{:>4}{:>12}{:>20}{:>8}{:>18}{:>20}{:>9}{:>15}{:>14}  {}".format(*line))
    missed = False
    for name in names:
        calibrated = Calibrated(load_onnx(models.build(name)), images := smooth_images(NETWORKS[name].input_shape))
        base: Row | None = None
        for widths in WIDTHS:
            row = measure(calibrated, images, widths)
            base = base or row
            found = figures(name, widths, row, base)
            _print(name, widths, row, found)
            missed |= not row.equal or any(figure.missed for figure in found)
    return int(missed)


def measure(calibrated: Calibrated, images: np.ndarray, widths: str) -> Row:
    """Quantize, compile, run twice and compare with the reference."""
    quantized = calibrated.quantize(widths, Options(shortcuts="joint"))
    start = process_time()
    compiled = compile_net(quantized.net)
    compile_sec = process_time() - start
    image = {name: values[0] for name, values in quantized.to_integers(images[:1]).items()}
    compiled.run(image)
    start = process_time()
    run = compiled.run(image)
    run_sec = process_time() - start
    expected = reference.run(quantized.net, image)
    equal = all(np.array_equal(values, expected[name]) for name, values in run.features.items())
    return _row(compiled, run.result, compile_sec, run_sec, equal)


def _row(compiled: CompiledNet, result: Result, compile_sec: float, run_sec: float, equal: bool) -> Row:
    words = result.bank_reads + result.bank_writes
    return Row(cycles=result.cycles, utilisation=100 * compiled.report.utilisation, bank_words=words,
               no_reuse_words=words + result.counters["a_hits"] + result.counters["w_hits"],
               external_bytes=result.ext_read_bytes + result.ext_write_bytes, code=len(compiled.program.code), compile_sec=compile_sec,
               run_sec=run_sec, equal=equal and result.cycles == compiled.report.cycles)


def figures(name: str, widths: str, row: Row, base: Row) -> tuple[Figure, ...]:
    """Speed-up, changes of bank accesses and external bytes, seconds to compile and to run, each with its target."""
    def at_width(targets: dict[str, tuple[float, ...]]) -> float | None:
        return targets[name][WIDTHS.index(widths) - 1] if name in targets and widths != WIDTHS[0] else None

    def at_8(targets: dict[str, float]) -> float | None:
        return targets.get(name) if widths == "8" else None

    return (Figure(name="speed-up", value=base.cycles / row.cycles, target=at_width(SPEEDUPS), least=True),
            Figure(name="bank accesses", value=change(row.bank_words, base.no_reuse_words) or 0.0, target=at_width(BANKS)),
            Figure(name="external bytes", value=change(row.external_bytes, base.external_bytes) or 0.0, target=at_width(EXTERNAL)),
            Figure(name="time to compile", value=row.compile_sec, target=at_8(COMPILE_SEC)),
            Figure(name="time to run", value=row.run_sec, target=at_8(RUN_SEC)))


def _print(name: str, widths: str, row: Row, found: tuple[Figure, ...]) -> None:
    speed, banks, external, compiling, running = found
    below = ", ".join(figure.name for figure in found if figure.missed)
    print(f"{name:16}{widths:>4}{row.cycles:>12,}{speed.text(3):>20}{row.utilisation:>8.1f}{banks.text(1):>18}{external.text(1):>20}{row.code:>9,}"
          f"{compiling.text(1):>15}{running.text(2):>14}  {'yes' if row.equal else 'NO'}{f'  missed: {below}' if below else ''}", flush=True)


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or QUICK))
