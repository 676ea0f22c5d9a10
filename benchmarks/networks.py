"""Whole networks on 16x16 PEs at 16, 8, 4 and 2 bits: cycles, utilisation, time to compile and to run; weights of their own, smooth random images."""

from __future__ import annotations

import sys
from time import perf_counter, process_time

import numpy as np

from rpa import models
from rpa.compile.compiled import CompiledNet, compile_net
from rpa.models.registry import NETWORKS
from rpa.net import reference
from rpa.net.onnx_import import load_onnx
from rpa.quant.front import Calibrated
from rpa.quant.options import Options

SPEEDUPS = {"resnet8": (1.9, 3.5, 6.0), "resnet18": (1.95, 3.8, 7.0), "vgg16": (1.95, 3.8, 7.0), "mobilenet_v1_025": (), "ds_cnn": ()}
"""Targets at 8, 4 and 2 bits."""
RUN_SEC = {"resnet18": 1.0, "vgg16": 5.0}
"""Targets of a warm run at 8 bits."""
COMPILE_SEC = {"resnet18": 10.0}
WIDTHS = ("16", "8", "4", "2")
QUICK = ("resnet8", "ds_cnn", "mobilenet_v1_025", "resnet18")
"""What runs unless networks are named on the command line; VGG-16 takes minutes to quantize."""


def smooth_images(shape: tuple[int, ...], count: int = 2) -> np.ndarray:
    """Real numbers (count, C, H, W) whose neighbours are alike."""
    random = np.random.default_rng(0)
    images = random.normal(0, 1, (count, *shape)).astype(np.float32)
    for axis in (2, 3):
        images = (images + np.roll(images, 1, axis) + np.roll(images, 2, axis)) / 3**0.5
    return images


def main(names: tuple[str, ...] = QUICK) -> int:
    """Print a line for each network and width; 1 if a target is missed or an integer is wrong."""
    print("network            bits      cycles  speed-up  in use [%]  words of code  compile [CPU s]  run [s]  equal")
    missed = False
    for name in names:
        calibrated = Calibrated(load_onnx(models.build(name)), images := smooth_images(NETWORKS[name].input_shape))
        base = 0
        for place, widths in enumerate(WIDTHS):
            compiled, compile_sec, run_sec, equal = _one(calibrated, images, widths)
            cycles = compiled.report.cycles
            base = base or cycles
            targets = SPEEDUPS.get(name, ())
            short = bool(targets) and place > 0 and base / cycles < targets[place - 1]
            slow = widths == "8" and (run_sec > RUN_SEC.get(name, np.inf) or compile_sec > COMPILE_SEC.get(name, np.inf))
            missed |= short or slow or not equal
            print(f"{name:18} {widths:>4} {cycles:>11,} {base / cycles:>9.3f} {100 * compiled.report.utilisation:>11.1f} "
                  f"{len(compiled.program.code):>14,} {compile_sec:>16.1f} {run_sec:>8.2f}  {'yes' if equal else 'NO'}"
                  f"{'  below its target' if short or slow else ''}", flush=True)
    return int(missed)


def _one(calibrated: Calibrated, images: np.ndarray, widths: str) -> tuple[CompiledNet, float, float, bool]:
    """(compiled network, CPU seconds to compile, seconds of a warm run, whether every integer is the reference's)."""
    quantized = calibrated.quantize(widths, Options(shortcuts="joint"))
    start = process_time()
    compiled = compile_net(quantized.net)
    compile_sec = process_time() - start
    image = {name: values[0] for name, values in quantized.to_integers(images[:1]).items()}
    compiled.run(image)
    start = perf_counter()
    run = compiled.run(image)
    run_sec = perf_counter() - start
    expected = reference.run(quantized.net, image)
    return compiled, compile_sec, run_sec, all(np.array_equal(values, expected[name]) for name, values in run.features.items())


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or QUICK))
