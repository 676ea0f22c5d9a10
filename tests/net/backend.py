"""ONNX's own node tests as cases for the importer: models and data that ship in the `onnx` package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from rpa.net.onnx_import import load_onnx

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
OPERATORS = ("add", "averagepool", "batchnorm", "basic_conv", "clip", "concat", "conv", "convinteger", "dequantizelinear", "div", "flatten",
             "gemm", "globalaveragepool", "globalmaxpool", "hardsigmoid", "hardswish", "identity$", "leakyrelu", "matmul", "matmulinteger", "maxpool",
             "mul", "prelu", "qlinearconv", "qlinearmatmul", "quantizelinear", "reduce_mean", "relu", "reshape", "sigmoid", "softmax", "squeeze",
             "sub", "sum", "tanh", "transpose", "unsqueeze", "dropout", "constant_pad", "edge_pad", "reflect_pad", "wrap_pad", "convtranspose")
"""What names of node tests begin with, after `test_`."""
PATTERN = re.compile(f"test_({'|'.join(OPERATORS)})(_(?!.*expanded)|$)")


@dataclass(frozen=True)
class Case:
    """One test: a model, what goes in and what must come out."""

    name: str
    folder: Path

    def load(self) -> tuple[onnx.ModelProto, dict[str, np.ndarray], dict[str, np.ndarray]]:
        model = onnx.load(self.folder / "model.onnx")
        known = {tensor.name for tensor in model.graph.initializer}
        given = [value.name for value in model.graph.input if value.name not in known]
        return model, self._read("input", given), self._read("output", [value.name for value in model.graph.output])

    def _read(self, kind: str, names: list[str]) -> dict[str, np.ndarray]:
        arrays = {}
        for index, name in enumerate(names):
            path = self.folder / "test_data_set_0" / f"{kind}_{index}.pb"
            arrays[name] = numpy_helper.to_array(onnx.load_tensor(path)) if path.exists() else np.zeros(0)
        return arrays


def cases(group: str) -> Iterator[Case]:
    """Tests of one folder: `node` (those of our operators), `pytorch-converted`, `pytorch-operator`, `simple`."""
    for folder in sorted((DATA / group).iterdir()):
        if (group != "node" or PATTERN.match(folder.name)) and (folder / "model.onnx").exists():
            yield Case(f"{group}/{folder.name}", folder)


def activations(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> list[str]:
    """The inputs that a network would compute on: the first one, and what is added to or multiplied with it. The rest are its parameters."""
    both = {"Add", "Mul", "Sub", "Sum", "Concat", "Max", "Min"}
    if len(model.graph.node) == 1 and model.graph.node[0].op_type in both:
        shapes = {array.shape for array in inputs.values()}
        if len(shapes) == 1:
            return list(inputs)
    return list(inputs)[:1]


def split_batch(inputs: dict[str, np.ndarray], names: list[str]) -> int:
    """How many images the activations hold: their first dimension where they have more than one."""
    return inputs[names[0]].shape[0] if inputs[names[0]].ndim > 1 else 1


def translate(case: Case):
    """(graph, the arrays of its inputs, the expected outputs in the order of the graph's). NetError where the importer refuses."""
    model, inputs, outputs = case.load()
    names = activations(model, inputs)
    graph = load_onnx(model, constants={name: array for name, array in inputs.items() if name not in names})
    return graph, {name: inputs[name] for name in names}, list(outputs.values())
