"""Modules through torch's exporter against torch itself."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` brings torch")
pytest.importorskip("onnxscript", reason="the extra `train` brings onnxscript")
from torch import nn  # noqa: E402

from rpa.net.errors import NetError  # noqa: E402
from rpa.net.float_run import run_model  # noqa: E402
from rpa.net.torch_import import load_torch  # noqa: E402


class Block(nn.Module):
    """Batch norms, a residual addition, a gate, pools: most of what networks are made of."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depth = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.Hardswish())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Sigmoid())
        self.slopes = nn.PReLU(8)
        self.pool = nn.AvgPool2d(2)
        self.last = nn.Linear(8 * 4 * 4, 10)

    def forward(self, x):
        x = self.first(x)
        y = self.depth(x)
        x = self.slopes(x + y * self.gate(y))
        return torch.softmax(self.last(torch.flatten(self.pool(x), 1)), -1)


def randomised(module):
    generator = torch.Generator().manual_seed(3)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
            part.weight.data.uniform_(0.5, 1.5, generator=generator)
            part.bias.data.normal_(generator=generator)
        if isinstance(part, nn.PReLU):
            part.weight.data.uniform_(-0.2, 0.5, generator=generator)
    return module


MODULES = {
    "block": (Block, (3, 16, 16)),
    "dense": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(48, 20), nn.Tanh(), nn.Linear(20, 5)), (3, 4, 4)),
    "silu": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3, dilation=2), nn.SiLU(), nn.Conv2d(4, 4, 3, padding=1), nn.LeakyReLU(0.2)), (2, 12, 12)),
    "one dimension": (lambda: nn.Sequential(nn.Conv1d(4, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2)), (4, 20)),
    "zero pad": (lambda: nn.Sequential(nn.ZeroPad2d((1, 2, 0, 1)), nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1)), (2, 9, 9)),
}


@pytest.mark.parametrize("name", MODULES)
def test_module_equals_torch(name):
    make, shape = MODULES[name]
    torch.manual_seed(1)
    module = randomised(make()).eval()
    module.train()
    batch = torch.randn(5, *shape)
    graph = load_torch(module, batch[:1], name=name)
    assert module.training and graph.name == name
    with torch.no_grad():
        expected = module.eval()(batch).numpy()
    (result,) = run_model(graph, {graph.inputs[0]: batch.numpy()}).values()
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_batch_norms_and_activations_leave_few_nodes():
    graph = load_torch(randomised(Block()), np.zeros((1, 3, 16, 16), np.float32))
    assert [node.op for node in graph.nodes] == ["Conv", "Conv", "HardSwish", "GlobalAveragePool", "Conv", "Sigmoid", "Mul", "Add", "PRelu",
                                                 "AveragePool", "Gemm"]
    assert graph.nodes[0].attributes["clip"] == (0.0, 6.0)


def test_refusals():
    with pytest.raises(NetError, match=r"module is a int, must be a torch.nn.Module"):
        load_torch(3, torch.zeros(1))
    with pytest.raises(NetError, match=r"ConvTranspose\): transposed convolutions are not supported"):
        load_torch(nn.ConvTranspose2d(2, 2, 3), torch.zeros(1, 2, 5, 5))

    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(NetError, match="Branch: torch cannot export it"):
        load_torch(Branch(), torch.zeros(1, 2, 5, 5))
