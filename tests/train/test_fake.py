"""Fake quantization against NumPy, its gradients against the formulas of LSQ worked out value by value."""

import numpy as np
import pytest
import torch

from rpa.train.qat.calibrate import calibrate, fit_weights
from rpa.train.qat.fake import ActivationQuantizer, FakeQuantize, Layer


def rounded(x, scale, zero, low, high):
    return (np.clip(np.rint(x / scale + zero), low, high) - zero) * scale


@pytest.mark.parametrize(("low", "high", "zero"), [(-8, 7, 0), (0, 7, 0), (0, 15, 6), (-2, 1, 0)])
def test_values(low, high, zero):
    x = np.random.default_rng(1).normal(0, 4, (50, 7)).astype(np.float32)
    found = FakeQuantize.apply(torch.from_numpy(x), torch.tensor(0.5), torch.tensor(float(zero)) if zero else None, low, high)
    assert np.array_equal(found.numpy(), rounded(x, np.float32(0.5), zero, low, high))


def test_ties_go_to_even():
    x = torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    assert FakeQuantize.apply(x, torch.tensor(1.0), None, -8, 7).tolist() == [-2.0, -2.0, 0.0, 0.0, 2.0, 2.0]


def test_gradients_by_hand():
    """Inside: 1 to x, round(v) - v to the scale, 0 to the zero point. Clamped: 0 to x, limit - zero point to the scale, -scale to the zero point."""
    x = torch.tensor([[0.3, 1.1, -2.0, 9.0]], requires_grad=True)  # v = x / 0.5 + 2: 2.6, 4.2, -2 (clamped to 0), 20 (clamped to 7)
    scale, zero = torch.tensor(0.5, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    upstream = torch.tensor([[1.0, 10.0, 100.0, 1000.0]])
    FakeQuantize.apply(x, scale, zero, 0, 7).backward(upstream)
    share = 1 / np.sqrt(4 * 7)
    assert x.grad.tolist() == [[1.0, 10.0, 0.0, 0.0]]
    assert float(scale.grad) == pytest.approx((1 * 0.4 + 10 * -0.2 + 100 * (0 - 2) + 1000 * (7 - 2)) * share, rel=1e-5)
    assert float(zero.grad) == pytest.approx(-0.5 * 1100 * share, rel=1e-5)


def test_gradients_by_channel():
    """Each channel's scale has the gradient that it has alone."""
    random = np.random.default_rng(5)
    weight, scales = random.normal(0, 1, (3, 2, 2, 2)), random.uniform(0.1, 0.5, 3)
    together = torch.tensor(scales.reshape(3, 1, 1, 1), dtype=torch.float32, requires_grad=True)
    FakeQuantize.apply(torch.tensor(weight, dtype=torch.float32), together, None, -8, 7).square().sum().backward()
    for channel in range(3):
        alone = torch.tensor(scales[channel], dtype=torch.float32, requires_grad=True)
        FakeQuantize.apply(torch.tensor(weight[None, channel], dtype=torch.float32), alone, None, -8, 7).square().sum().backward()
        assert float(together.grad.flatten()[channel]) == pytest.approx(float(alone.grad), rel=1e-4)


@pytest.mark.parametrize(("bits", "kind", "low", "high"), [
    (3, "unsigned", 0, 7), (4, "unsigned", 0, 15), (4, "symmetric", -8, 7), (4, "asymmetric", 0, 15), (2, "symmetric", -2, 1),
    (8, "unsigned", 0, 255),
])
def test_ranges(bits, kind, low, high):
    quantizer = ActivationQuantizer(bits, kind)
    assert (quantizer.low, quantizer.high) == (low, high)
    with torch.no_grad():
        quantizer.scale.fill_(0.25)
        quantizer.zero.fill_(3.4 if kind == "asymmetric" else 0.0)
    result = quantizer(torch.linspace(-100, 100, 4001))
    assert len(result.unique()) == 2**bits
    assert 0.0 in result.tolist()  # zero is always exact: it pads images
    assert int(quantizer.zero_point()) == (3 if kind == "asymmetric" else 0)


def test_weight_integers_are_the_fake_weights():
    torch.manual_seed(2)
    layer = Layer(torch.randn(6, 4, 3, 3), torch.zeros(6), 4)
    with torch.no_grad():
        fit_weights(layer)
        step = layer.step()
        assert torch.equal(layer.integers(step).float() * step.reshape(-1, 1, 1, 1), layer.quantized(step))
    assert layer.integers(step).min() >= -8 and layer.integers(step).max() == 7


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_weight_scales_have_the_least_error(bits):
    """No scale of a grid ten times finer is better by more than a tenth."""
    torch.manual_seed(3)
    layer = Layer(torch.randn(4, 40), torch.zeros(4), bits)
    with torch.no_grad():
        fit_weights(layer)
    for row, scale in zip(layer.weight.detach().numpy().astype(float), layer.step().detach().numpy().astype(float), strict=True):
        def error(step, row=row):
            return np.square(rounded(row, step, 0, layer.low, layer.high) - row).sum()

        best = min(error(step) for step in np.abs(row).max() / layer.high * np.linspace(0.1, 1.0, 451))
        assert error(scale) <= 1.1 * best


def test_zero_channels_stay_zero():
    layer = Layer(torch.zeros(2, 9), torch.zeros(2), 4)
    with torch.no_grad():
        fit_weights(layer)
    assert layer.step().min() > 0 and not layer.integers(layer.step()).any()


def test_calibration_needs_images():
    from rpa.models import build
    from rpa.train.qat.network import Widths
    from rpa.train.qat.run import network_of
    from rpa.train.settings import TrainingError

    network = network_of(build("lenet5"), Widths(weights=4, activations=4), 1 / 256, False)
    with pytest.raises(TrainingError, match=r"^calibration needs at least one image$"):
        calibrate(network, torch.zeros(0, 1, 28, 28))
