"""`rpa.compile` of torch modules: exported, quantized, compiled and run; results as the module itself gives them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` brings torch")
pytest.importorskip("onnxscript", reason="the extra `train` brings onnxscript")
from torch import nn  # noqa: E402

import rpa  # noqa: E402
from rpa.compile.errors import CompileError  # noqa: E402
from rpa.net import reference  # noqa: E402
from rpa.net.errors import NetError  # noqa: E402

IMAGES = np.random.default_rng(2).normal(0, 1, (8, 3, 12, 12)).astype(np.float32)


class Classifier(nn.Module):
    """Grouped and dilated convolutions, a residual, a gate, every kind of clip; reshapes for a batch of one, as exported examples often do."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2), nn.Hardswish())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Sigmoid())
        self.last = nn.Linear(16 * 9, 5)

    def forward(self, x):
        x = self.first(x)
        y = nn.functional.leaky_relu(self.second(x) + x, 0.1)
        x = nn.functional.max_pool2d(torch.cat([y * self.gate(y), x], 1), 2)
        return torch.softmax(self.last(x.reshape(1, 144)), 1)


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(4)
    return Classifier().eval()


@pytest.mark.parametrize(("widths", "error"), [("16", 0.01), ("8", 0.05), ("w4a8", 0.25)])
def test_a_module_runs_on_the_array(module, widths, error):
    model = rpa.compile(module, IMAGES, widths=widths, effort=False, host=True)
    run, expected = model.run(IMAGES[0]), reference.run(model.net, model.integers(IMAGES[0]))
    assert [name for name, values in run.features.items() if not np.array_equal(values, expected[name])] == []
    result, = model.results(run.outputs).values()
    with torch.no_grad():
        wanted = module(torch.from_numpy(IMAGES[:1])).numpy()
    assert result.shape == wanted.shape == (1, 5)
    assert np.linalg.norm(result - wanted) < error * np.linalg.norm(wanted)


def test_what_is_missing_is_said(module):
    with pytest.raises(CompileError, match="a Classifier is exported with an example input"):
        rpa.compile(module)
    with pytest.raises(CompileError, match=r"softmax behind the array\n.*host=True"):
        rpa.compile(module, IMAGES)


def test_why_torch_cannot_export_is_said_without_colours():
    with pytest.raises(NetError, match=r"expected input.* to have 4 channels, but got 3") as caught:
        rpa.compile(nn.Conv2d(4, 2, 3), IMAGES)
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)
