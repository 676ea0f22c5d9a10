"""What each kernel computes, as a formula over named tensors, and seeded cases with golden outputs made from it.

Shapes and widths come from the tensors that the assembled program declares, so a case fits whatever `defines` it was built with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from isa import Program
from rpa.report import golden

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """What goes into a program, and what must come out: arrays by tensor name."""

    inputs: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Formula:
    """output = finish(accumulate(operands)), where `finish` is the requantization that the program does."""

    operands: tuple[str, ...]
    output: str
    accumulate: Callable[[Arrays, Program], np.ndarray]
    """Sums for int64 or float64 operands; requantized per last axis, or as a whole where `scale` has one entry."""
    terms: Callable[[Program], int]
    """Products (or sums, in pooling and addition) that one output needs: the useful work per output."""
    products: bool = True
    """True if a term is a product of one element of each operand; False if it is one element."""
    pre_16: int = 0
    """The right shift before the multiplication where all operands have 16 bits (constant PRE of the source); else 0."""
    divisor: int = 0
    """0: the program requantizes by its tensor `scale`; else it divides by this power of two, rounding half up."""

    def work(self, program: Program) -> int:
        """Useful multiply-accumulates (or additions, comparisons) of the whole program."""
        return prod(program.tensors[self.output].shape) * self.terms(program)

    def pre(self, program: Program) -> int:
        """The right shift that the program's drain does before the multiplication."""
        return self.pre_16 if all(program.tensors[name].bits == 16 for name in self.operands) else 0

    def case(self, program: Program, seed: int) -> Case:
        """Random operands, and a scale that spreads the results a little beyond the output's width."""
        rng = np.random.default_rng(seed)
        inputs = {name: draw(program, name, rng) for name in self.operands}
        acc = self.accumulate(inputs, program)
        if not self.divisor:
            count = program.tensors["scale"].shape[0]
            inputs["scale"] = random_scale(acc, program.tensors[self.output].bits, self.pre(program), count, rng)
        return Case(inputs, {self.output: self.finish(acc, inputs, program)})

    def finish(self, acc: np.ndarray, inputs: Arrays, program: Program) -> np.ndarray:
        """Integer accumulators through this program's requantization, in the shape of the output."""
        tensor = program.tensors[self.output]
        limits = golden.signed_limits(tensor.bits)
        if self.divisor:
            out = np.clip((acc + self.divisor // 2) // self.divisor, *limits)
        else:
            scale = inputs["scale"]
            out = golden.requantize(acc if len(scale) > 1 else acc[..., None], scale, limits, pre=self.pre(program))
        return out.reshape(tensor.shape)


def draw(program: Program, name: str, rng: np.random.Generator) -> np.ndarray:
    """Random values over the whole range of a tensor; int64."""
    tensor = program.tensors[name]
    low, high = golden.signed_limits(tensor.bits)
    return rng.integers(low, high + 1, tensor.shape)


def random_scale(acc: np.ndarray, bits: int, pre: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Requantization entries (count, 3), random, that spread ``acc`` >> ``pre`` a little beyond ``bits`` bits."""
    spread = max(1.0, float(acc.std()))
    multiplier = rng.integers(1 << 30, 1 << 31, count)
    shift = np.round(np.log2(3 * spread / 2**pre * multiplier / (1 << bits - 1))).astype(np.int64)
    bias = rng.integers(-int(spread) // 4 - 1, int(spread) // 4 + 2, count)
    return np.stack([bias, multiplier, np.clip(shift, 1, 62)], axis=1)


def _shape(program: Program, name: str) -> tuple[int, ...]:
    return program.tensors[name].shape


def _convolve(arrays: Arrays, program: Program) -> np.ndarray:
    stride = _shape(program, "act")[0] // _shape(program, "out")[0]
    return golden.convolve(arrays["act"], arrays["weight"], stride)


def _weigh(arrays: Arrays, program: Program) -> np.ndarray:
    bits = program.tensors["x"].bits
    alpha, beta = (1 << bits - 1) - 1, -(1 << bits - 2)
    return alpha * arrays["x"] + beta * arrays["y"]


CONVOLUTION = Formula(operands=("act", "weight"), output="out", pre_16=8, accumulate=_convolve,
                      terms=lambda program: prod(_shape(program, "weight")[1:]))
DEPTHWISE = Formula(operands=("act", "weight"), output="out", pre_16=4,
                    accumulate=lambda arrays, _: golden.convolve_depthwise(arrays["act"], arrays["weight"]),
                    terms=lambda program: prod(_shape(program, "weight")[:2]))
GEMM = Formula(operands=("a_matrix", "bt_matrix"), output="c_matrix", pre_16=8,
               accumulate=lambda arrays, _: arrays["a_matrix"] @ arrays["bt_matrix"].T,
               terms=lambda program: _shape(program, "a_matrix")[1])
FULLY_CONNECTED = Formula(operands=("x", "weight"), output="out", pre_16=8,
                          accumulate=lambda arrays, _: arrays["x"] @ arrays["weight"].T, terms=lambda program: _shape(program, "x")[1])
VECTOR = Formula(operands=("x", "y"), output="out", products=False, accumulate=lambda arrays, _: arrays["x"] + arrays["y"], terms=lambda _: 1)
RESIDUAL = Formula(operands=("x", "y"), output="out", products=False, accumulate=_weigh, terms=lambda _: 2)
MAX_POOL = Formula(operands=("act",), output="out", products=False, divisor=1, terms=lambda _: 4,
                   accumulate=lambda arrays, _: golden.windows(arrays["act"], 2).max(axis=2))
AVERAGE_POOL = Formula(operands=("act",), output="out", products=False, divisor=4, terms=lambda _: 4,
                       accumulate=lambda arrays, _: golden.windows(arrays["act"], 2).sum(axis=2))


# -- kernels that are no such formula -----------------------------------------------------------------------------------


def copy_pack(program: Program, seed: int) -> Case:
    x = draw(program, "x", np.random.default_rng(seed))
    return Case({"x": x}, {"out": golden.wrap(x, program.tensors["out"].bits)})


def dot(program: Program, seed: int) -> Case:
    rng = np.random.default_rng(seed)
    spare = 4 if program.tensors["x"].bits == 16 else 0
    inputs = {name: draw(program, name, rng) >> spare for name in ("x", "y")}
    total = int((inputs["x"] * inputs["y"]).sum())
    if not -(1 << 31) <= total < 1 << 31:
        raise ValueError(f"the dot product is {total}, must fit 32 bits")
    return Case(inputs, {"total": np.array([total & 0xFFFF, total >> 16 & 0xFFFF])})


def flash(program: Program, seed: int) -> Case:
    """One convolution twice: weights for the array, and digit by digit in cells for the macros."""
    rng = np.random.default_rng(seed)
    inputs = {name: draw(program, name, rng) for name in ("act", "weight")}
    acc = golden.convolve(inputs["act"], inputs["weight"])
    scale = random_scale(acc, program.tensors["out"].bits, 0, acc.shape[-1], rng)
    out = golden.requantize(acc, scale, golden.signed_limits(program.tensors["out"].bits))
    cells = golden.differential_cells(inputs["weight"], program.config["nv_cell_bits"], program.tensors["cells"].shape)
    return Case({**inputs, "scale": scale, "cells": cells}, {"out": out, "flash_out": out})


REQUANTIZE_MODES = ("half_up", "half_even", "floor", "gemmlowp", "stochastic")
REQUANTIZE_LIMITS = (-100, 100)
REQUANTIZE_ZERO_POINT = -3
REQUANTIZE_SEED = 2026


def requantize(program: Program, seed: int, *, pre: int = 0) -> Case:
    """Every second column divides by a power of two, which makes ties; the others have random multipliers."""
    rng = np.random.default_rng(seed)
    x, factor = draw(program, "x", rng) >> 3, draw(program, "factor", rng)
    factor[::2] = 1 << 4
    acc = x[..., None] * factor[:, 0]
    scale = random_scale(acc, 8, pre, len(factor), rng)
    scale[::2] = [0, 1 << 30, 39 - pre]
    scale[:, 2] = np.maximum(scale[:, 2], 31)
    draws = golden.lfsr_draws(REQUANTIZE_SEED, len(factor), x.size).reshape(acc.shape)
    parts = [golden.requantize(acc, scale, REQUANTIZE_LIMITS, rounding=mode, pre=pre, zero_point=REQUANTIZE_ZERO_POINT, draws=draws)
             for mode in REQUANTIZE_MODES]
    return Case({"x": x, "factor": factor, "scale": scale}, {"out": np.stack(parts)})
