"""ResNet-8 on NOR-flash macros, one core: 8-bit activations bit by bit, 4-bit cells, 128 x 128 tiles, 8-bit converters, against its targets.

Shapes are those of the network, im2col included; cells and activations are random and dense, so that no conversion is left out. Weights of 4 bits
take one bit line (the targets), those of 8 bits two. A sum without errors is compared with integer arithmetic before anything is timed.
Then LeNet-5 at W4A3, differential, over 10,000 images with every error of cells, array and converters on: all of the network, its digital part too.
Run it with `python -m benchmarks.flash`; it exits with 1 if a target is missed.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.kernels import report
from rpa.arch.jit import HAVE_NUMBA
from rpa.flash.calibrate import calibrate
from rpa.flash.chip import Chip
from rpa.flash.kernels import mac
from rpa.flash.spec import Adc, Errors, MacroSpec
from rpa.report.flash_network import open_flash, place

ROWS, ABITS = 128, 8
IMAGES = 16
TARGETS = {"static noise": 1.0, "read noise": 0.45}
"""Least 10^9 multiplications of the network a second; static noise: programming errors."""
LENET_IMAGES, LENET_SECONDS = 10_000, 60.0
"""The target is on two cores; one is used."""
ADC = Adc(bits=8)
CASES = {"no errors": (Errors(), ADC), "static noise": (Errors.all().only("programming"), ADC),
         "read noise": (Errors.all().only("programming", "read_noise"), ADC), "all errors of cells and array": (Errors.all(), ADC),
         "and of converters": (Errors.all(), replace(ADC, inl_lsb=0.25, dnl_lsb=0.25, offset_lsb=0.5, gain_error=0.01))}


@dataclass(frozen=True)
class Layer:
    """A convolution, or with size 1 of one pixel a fully connected layer."""

    size: int
    inputs: int
    outputs: int
    kernel: int
    stride: int

    @property
    def macs(self) -> int:
        return (self.size // self.stride) ** 2 * self.kernel**2 * self.inputs * self.outputs


LAYERS = (Layer(32, 3, 16, 3, 1), Layer(32, 16, 16, 3, 1), Layer(32, 16, 16, 3, 1), Layer(32, 16, 32, 3, 2), Layer(16, 32, 32, 3, 1),
          Layer(32, 16, 32, 1, 2), Layer(16, 32, 64, 3, 2), Layer(8, 64, 64, 3, 1), Layer(16, 32, 64, 1, 2), Layer(1, 64, 10, 1, 1))
"""ResNet-8 of MLPerf Tiny: 12.5 million multiplications."""


def im2col(images: np.ndarray, layer: Layer) -> np.ndarray:
    """(N, H, W, C) -> (N*P*Q, R*S*C), zeros outside."""
    border = layer.kernel // 2
    padded = np.pad(images, ((0, 0), (border, border), (border, border), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (layer.kernel, layer.kernel), axis=(1, 2))[:, ::layer.stride, ::layer.stride]
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, layer.kernel**2 * layer.inputs)


def run_layer(chip: Chip, layer: Layer, images: np.ndarray, lines: int, log2_lsb: int) -> np.ndarray:
    """Sums over the layer's row tiles, one macro each."""
    columns = im2col(images, layer)
    total = np.zeros((len(columns), lines), np.int64)
    for tile, row in enumerate(range(0, columns.shape[1], ROWS)):
        total += mac(chip, tile, columns[:, row:row + ROWS], abits=ABITS, columns=slice(0, lines), log2_lsb=log2_lsb)
    return total


def programmed(layer: Layer, lines: int, errors: Errors, adc: Adc) -> Chip:
    """Macros with random cells, one for each 128 rows of the layer."""
    rows = layer.kernel**2 * layer.inputs
    chip = Chip(MacroSpec(errors=errors, adc=adc), macros=-(-rows // ROWS), seed=1)
    random = np.random.default_rng(rows)
    for row in range(rows):
        chip.program(row // ROWS, row % ROWS, 0, random.integers(0, 16, lines).astype(np.uint8))
    return chip


def pixels(layer: Layer) -> np.ndarray:
    return np.random.default_rng(layer.size).integers(0, 256, (IMAGES, layer.size, layer.size, layer.inputs)).astype(np.uint8)


def exact(layer: Layer) -> bool:
    """Whether the sums of an ideal macro with enough resolution are the integers' own."""
    chip = programmed(layer, layer.outputs, Errors(), Adc(bits="ideal"))
    rows = layer.kernel**2 * layer.inputs
    cells = np.concatenate([chip.targets(tile) for tile in range(chip.macros)])[:rows, :layer.outputs].astype(np.int64)
    images = pixels(layer)[:1]
    return np.array_equal(run_layer(chip, layer, images, layer.outputs, 0), im2col(images, layer).astype(np.int64) @ cells)


def seconds(errors: Errors, adc: Adc, slices: int) -> float:
    """CPU seconds of the network for all images; tables are made in the measured run."""
    total = 0.0
    for layer in LAYERS:
        chip, images = programmed(layer, layer.outputs * slices, errors, adc), pixels(layer)
        begin = time.process_time()
        run_layer(chip, layer, images, layer.outputs * slices, 3)
        total += time.process_time() - begin
    return total


def lenet_seconds() -> float:
    """CPU seconds of LeNet-5 on macros; the test images that come along are taken again and again."""
    source = open_flash("lenet5_w4a3")
    errors, adc = CASES["and of converters"]
    network = place(source.net, MacroSpec(errors=errors, adc=adc))
    calibrate(network, {name: images[:100] for name, images in source.calibration.items()})
    many = {name: np.resize(images, (LENET_IMAGES, *images.shape[1:])) for name, images in source.test.items()}
    begin = time.process_time()
    network.run_many(many)
    return time.process_time() - begin


def main() -> int:
    macs = sum(layer.macs for layer in LAYERS)
    wrong = [layer for layer in LAYERS if not exact(layer)]
    print(f"{'ideal macros: layers that equal integers':<58} {len(LAYERS) - len(wrong)} of {len(LAYERS)}")
    print(f"{macs / 1e6:.1f} million multiplications an image, {IMAGES} images, CPU seconds; {'compiled' if HAVE_NUMBA else 'without numba'}")
    met = [not wrong]
    for bits, slices in ((4, 1), (8, 2)):
        for name, case in CASES.items():
            seconds(*case, slices)
            spent = min(seconds(*case, slices) for _ in range(3))
            rate, what = macs * IMAGES / spent / 1e9, f"W{bits}A{ABITS}, {name}: GMAC/s ({spent:.3f} s)"
            if slices == 1 and name in TARGETS:
                met.append(report(what, rate, TARGETS[name]))
            else:
                print(f"{what:<58} {rate:9.4f}")
    met.append(report(f"LeNet-5 W4A3, {LENET_IMAGES} images, all errors: CPU s", lenet_seconds(), LENET_SECONDS, at_most=True))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
