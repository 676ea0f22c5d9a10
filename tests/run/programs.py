"""A small matrix product and variations of it, for the tests of `rpa.run`."""

from __future__ import annotations

import numpy as np

from isa import Program, assemble
from rpa.arch.config import ArrayConfig

TINY = ArrayConfig.preset("tiny")
GEMM = """
.default K = 6
.default WAIT = 1
.input  a shape(ROWS, K) bits 16 signed
.input  w shape(COLS, K) bits 16 signed
.params scale shape(COLS)
.output out shape(ROWS, COLS) bits 16 signed
.context multiply
  all: mac a, w
.end
        ctx multiply, 0
        set ld.rows, ROWS
        set ld.units, K
        set ld.sstep, 2
        set ld.sstride, 2 * K
        set ld.dstep, 1
        set ld.wstep, 1
        set ld.addr, a
        ld  a, mem
        set ld.rows, COLS
        set ld.addr, w
        ld  w, mem signal(ex)
        set ld.units, 8
        set ld.sstride, 16
        set ld.addr, scale
        ld  p, mem signal(dr)
        set ex.n, K
        set ex.as, 1
        set ex.ws, 1
        set ex.red, 1
        run 0 wait(ld) signal(dr)
        sync dr wait(ld)
        set dr.rows, ROWS
        set dr.pitch, 1
        drain 0 wait(ex) signal(st)
        set st.rows, ROWS
        set st.pitch, 1
        set st.ws, COLS
        set st.addr, out
        set st.rstride, 2 * COLS
        set st.wstride, 2
        st  wait(dr)
        halt
"""


def gemm(config: ArrayConfig = TINY, source: str = GEMM, **defines: int) -> Program:
    return assemble(source, config, defines=defines)


def gemm_inputs(program: Program, seed: int = 0) -> dict[str, np.ndarray]:
    """Small random operands and a scale of exactly 1 (multiplier 2^30, shift 30)."""
    rng = np.random.default_rng(seed)
    cols = program.tensors["w"].shape[0]
    return {"a": rng.integers(-50, 50, program.tensors["a"].shape), "w": rng.integers(-50, 50, program.tensors["w"].shape),
            "scale": np.tile([0, 1 << 30, 30], (cols, 1))}


def gemm_expected(inputs: dict[str, np.ndarray]) -> np.ndarray:
    return inputs["a"].astype(np.int64) @ inputs["w"].astype(np.int64).T
