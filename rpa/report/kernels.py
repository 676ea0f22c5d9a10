"""The registry of `programs/`: every kernel, the widths it is run at, and what it computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

import isa
from isa import Program
from rpa.arch.config import ArrayConfig
from rpa.report import cases
from rpa.report.cases import Case, Formula

PROGRAMS = Path(__file__).resolve().parents[2] / "programs"
EQUAL_WIDTHS = ((16, 16), (8, 8), (4, 4), (2, 2))
"""(act_bits, weight_bits), the widest first."""
ALL_WIDTHS = (*EQUAL_WIDTHS, (8, 4), (8, 2), (16, 4), (4, 8))
"""Those of the 3x3 convolution: also W4A8, W2A8, W4A16, and weights wider than activations."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One kernel of `programs/`."""

    name: str
    file: str
    doc: str
    widths: tuple[tuple[int, int], ...]
    """(act_bits, weight_bits) at which it makes sense, the widest first."""
    formula: Formula | None
    """What it computes; None where `make_case` alone says it."""
    make_case: Callable[[Program, int], Case]
    width_names: tuple[str, ...] = ("ABITS", "WBITS")
    """Constants of the source that take act_bits and weight_bits; none: it has one fixed width."""
    defines: Mapping[str, int] = field(default_factory=dict)
    """Further constants that it is always assembled with."""
    timed_part: bool = False
    """True if the program leaves in r1 the cycles of the part that counts (operands in the banks)."""
    macros: bool = False
    """True if it needs NOR-flash macros."""
    packs: bool = False
    """True if it packs words on the way in, for which the bus must be 16/bits words wide."""

    def assemble(self, config: ArrayConfig, act_bits: int, weight_bits: int, **defines: int) -> Program:
        """Assemble for a machine and a pair of widths, with further constants. Raises RpaError."""
        widths = dict(zip(self.width_names, (act_bits, weight_bits), strict=False))
        return isa.assemble(PROGRAMS / self.file, config, defines={**self.defines, **widths, **defines})

    def fits(self, config: ArrayConfig, act_bits: int) -> bool:
        """False where this machine cannot run the kernel at this width."""
        return (not self.packs or 16 // act_bits <= config.bus_words) and (not self.macros or config.nv_macros > 0)

    def case(self, program: Program, seed: int = 0) -> Case:
        """Seeded inputs and golden outputs for a program assembled from this kernel."""
        return self.make_case(program, seed)


def _kernel(file: str, doc: str, what: Formula | Callable[[Program, int], Case], widths=EQUAL_WIDTHS, **more) -> Kernel:
    formula = what if isinstance(what, Formula) else None
    make_case = what.case if isinstance(what, Formula) else what
    name = more.pop("name", file.split("_", 1)[1].removesuffix(".rpa"))
    return Kernel(name=name, file=file, doc=doc, widths=tuple(widths), formula=formula, make_case=make_case, **more)


_ONE = {"width_names": ("BITS",)}
_GEMM_WIDTHS = (*EQUAL_WIDTHS, (8, 4), (4, 8))
_DOWN_TO_4 = EQUAL_WIDTHS[:3]
_FIXED = EQUAL_WIDTHS[:1]

_ALL = (
    _kernel("01_copy_pack.rpa", "copy, and pack 16-bit elements", cases.copy_pack, packs=True, **_ONE),
    _kernel("02_vector.rpa", "add two vectors and scale the sum", cases.VECTOR, **_ONE),
    _kernel("03_dot.rpa", "dot product of two vectors", cases.dot, **_ONE),
    _kernel("04_gemm.rpa", "matrix product", cases.GEMM, _GEMM_WIDTHS),
    _kernel("05_conv1x1.rpa", "1x1 convolution", cases.CONVOLUTION, (*EQUAL_WIDTHS, (8, 4))),
    _kernel("06_conv3x3.rpa", "3x3 convolution, operands in the banks", cases.CONVOLUTION, ALL_WIDTHS, timed_part=True),
    _kernel("07_conv3x3_stream.rpa", "3x3 convolution, memory to memory", cases.CONVOLUTION, ALL_WIDTHS),
    _kernel("08_conv3x3_stride2.rpa", "3x3 convolution, stride 2", cases.CONVOLUTION, (*EQUAL_WIDTHS, (8, 4))),
    _kernel("09_conv5x5.rpa", "5x5 convolution", cases.CONVOLUTION, _DOWN_TO_4),
    _kernel("10_conv7x7.rpa", "7x7 convolution", cases.CONVOLUTION, _DOWN_TO_4),
    _kernel("11_depthwise.rpa", "depthwise 3x3 convolution on the mesh", cases.DEPTHWISE, _DOWN_TO_4, **_ONE),
    _kernel("12_maxpool.rpa", "2x2 max pooling", cases.MAX_POOL, **_ONE),
    _kernel("13_avgpool.rpa", "2x2 average pooling", cases.AVERAGE_POOL, **_ONE),
    _kernel("14_residual.rpa", "residual addition with two scales", cases.RESIDUAL, **_ONE),
    _kernel("15_fully_connected.rpa", "fully connected layer", cases.FULLY_CONNECTED, _GEMM_WIDTHS),
    _kernel("16_requantize.rpa", "requantization in every rounding mode", cases.requantize, _FIXED, width_names=()),
    _kernel("16_requantize.rpa", "the same behind a right shift of the accumulators", partial(cases.requantize, pre=5), _FIXED, width_names=(),
            name="requantize_pre", defines={"PRE": 5}),
    _kernel("17_flash.rpa", "3x3 convolution in NOR-flash macros, and on the array", cases.flash, ((8, 4), (8, 2), (4, 2)), macros=True),
)
KERNELS: dict[str, Kernel] = {kernel.name: kernel for kernel in _ALL}


def differences(case: Case, outputs: dict[str, np.ndarray]) -> list[str]:
    """Name every expected tensor that came out wrong, with the first wrong element and both values."""
    found = []
    for name, expected in case.expected.items():
        actual = np.asarray(outputs[name], dtype=np.int64)
        if not np.array_equal(actual, expected):
            at = tuple(int(i) for i in np.argwhere(actual != expected)[0])
            wrong = int((actual != expected).sum())
            found.append(f"{name}[{', '.join(map(str, at))}] is {actual[at]}, must be {expected[at]} ({wrong} of {expected.size} differ)")
    return found
