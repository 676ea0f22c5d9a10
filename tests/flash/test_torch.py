"""Macros in torch: exact where nothing is wrong, the chip's codes where something is, statistics and gradients of errors, training."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is an extra")

import rpa.flash  # noqa: E402
from rpa.flash import kernels  # noqa: E402
from rpa.flash.chip import Chip  # noqa: E402
from rpa.flash.errors import FlashError  # noqa: E402
from rpa.flash.mapping import Encoding  # noqa: E402
from rpa.flash.spec import Adc, MacroSpec  # noqa: E402
from rpa.flash.torch import FlashConv2d, FlashLinear, Progressive, convert  # noqa: E402
from rpa.flash.torch.operate import Programmed  # noqa: E402
from rpa.flash.torch.perturb import Perturb  # noqa: E402

IDEAL = replace(MacroSpec.preset("ideal"), adc=Adc(bits="ideal"))
SONOS = MacroSpec.preset("sonos40")
SIGNED = [Encoding.DIFFERENTIAL, Encoding.REFERENCE]


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 20, 3, stride=2, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(20 * 16, 9))


def example():
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("encoding", SIGNED)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("weight_bits", [2, 4, 7])
def test_an_ideal_macro_gives_the_integer_product(encoding, signed, weight_bits):
    rng = np.random.default_rng(weight_bits)
    weights = rng.integers(-(1 << weight_bits - 1) + 1, 1 << weight_bits - 1, (37, 300))
    x = rng.integers(-8 if signed else 0, 8, (5, 300))
    got = Programmed(IDEAL, torch.from_numpy(weights), weight_bits=weight_bits, encoding=encoding)(torch.from_numpy(x), abits=4, signed=signed)
    assert (got.numpy() == x @ weights.T).all()


def test_static_errors_and_a_narrow_converter_give_the_codes_of_the_compiled_chip():
    spec = replace(SONOS, adc=Adc(bits=6), errors=SONOS.errors.only("programming"))
    rng = np.random.default_rng(3)
    weights, x = rng.integers(-7, 8, (30, 100)), rng.integers(0, 8, (11, 100))
    made = Programmed(spec, torch.from_numpy(weights), weight_bits=4, encoding=Encoding.DIFFERENTIAL, seed=5, log2_lsb=2)
    (tile,) = made.mapping.tiles
    chip = Chip(spec, seed=5)
    for row, cells in enumerate(tile.cells):
        chip.program(0, row, 0, cells)
    codes = kernels.mac(chip, 0, x, abits=3, signed=False, columns=slice(0, tile.cells.shape[1]), log2_lsb=2)
    expected = made.mapping.combine(tile, codes) << 2
    assert (made(torch.from_numpy(x), abits=3, signed=False).numpy() == expected).all()
    assert (expected != x @ weights.T).any()


@pytest.mark.parametrize("encoding", SIGNED)
def test_an_ideal_macro_in_a_model_is_its_quantized_layer(encoding):
    macros = convert(model(), IDEAL, example=example(), encoding=encoding).eval()
    assert isinstance(macros[0], FlashConv2d) and isinstance(macros[3], FlashLinear)
    x = example()
    with torch.no_grad():
        conv = macros[0]
        unit, step = conv.activation.step(), conv.layer.step()
        integers = torch.nn.functional.conv2d(torch.round(conv.activation(x) / unit), conv.layer.integers(step).float(), None, 2, 1)
        bias = conv.layer.rounded_bias(unit * step)
        torch.testing.assert_close(conv(x), integers * (unit * step)[:, None, None] + bias[:, None, None], rtol=1e-6, atol=1e-6)
        conv.train(), setattr(conv.perturb, "strength", 0.0)
        torch.testing.assert_close(conv(x), conv.eval()(x), rtol=1e-3, atol=1e-3 * float(conv(x).detach().abs().max()))


@pytest.mark.parametrize("encoding", SIGNED)
def test_errors_of_weights_follow_the_device(encoding):
    """4-bit weights in one cell: of a differential pair one cell holds |w|, the other 0; of a reference both hold what the code says."""
    perturb = Perturb(replace(SONOS, errors=SONOS.errors.only("programming")), weight_bits=4, encoding=encoding, seed=2)
    spec, weight = SONOS, 5
    errors = perturb.errors(torch.full((400, 500), float(weight))).double()
    held = (weight, 0) if encoding == Encoding.DIFFERENTIAL else (weight + 8, 8)
    sigma = [float(spec.device.programming_sigma(code * spec.device.max_amp / 15)) / (spec.device.max_amp / 15) for code in held]
    per_weight = sigma[0] if encoding == Encoding.REFERENCE else float(np.hypot(*sigma))
    within = errors - errors.mean(0) if encoding == Encoding.REFERENCE else errors
    assert abs(float(within.std()) / per_weight - 1) < 0.01
    if encoding == Encoding.REFERENCE:      # one reference cell an input, whatever the output
        assert abs(float(errors.mean(0).std()) / sigma[1] - 1) < 0.1
    assert len(torch.unique(errors)) > 100_000


def test_stuck_cells_go_to_their_ends():
    spec = replace(IDEAL, errors=replace(IDEAL.errors, stuck_off=0.1, stuck_on=0.2))
    errors = Perturb(spec, weight_bits=4, seed=1).errors(torch.full((300, 300), 5.0))
    shares = {value: float((errors == value).double().mean()) for value in (0.0, -5.0, 10.0, -15.0)}
    expected = {0.0: 0.7 * 0.8, -5.0: 0.1 * 0.8 + 0.2 * 0.2, 10.0: 0.2 * 0.8, -15.0: 0.7 * 0.2}
    assert all(abs(shares[value] - share) < 0.01 for value, share in expected.items())


def test_gradients_pass_errors_and_quantization():
    macros = convert(model(), SONOS, example=example()).train()
    macros(example()).square().sum().backward()
    for parameter in (macros[0].layer.weight, macros[3].layer.weight, macros[0].activation.scale, macros[3].layer.scale):
        assert parameter.grad is not None and float(parameter.grad.abs().sum()) > 0


def test_strength_grows_over_training():
    schedule = Progressive(begin=0.2, end=0.6, full=2.0)
    assert [round(schedule.at(done), 6) for done in (0, 0.2, 0.4, 0.6, 1)] == [0, 0, 1, 2, 2]
    macros = convert(model(), SONOS, example=example())
    schedule.set(macros, 0.4)
    assert [macros[at].perturb.strength for at in (0, 3)] == pytest.approx([1.0, 1.0])


def test_chips_differ_and_can_be_had_again():
    macros = convert(model(), SONOS, example=example(), seed=3).eval()
    first = macros(example())
    assert torch.equal(first, convert(model(), SONOS, example=example(), seed=3).eval()(example()))
    macros[0].chip_seed = 9
    assert not torch.equal(first, macros(example()))


def test_training_with_errors_makes_up_for_them():
    """A linear layer on strongly varying cells: what was trained with errors does better on chips than what was not."""
    device = replace(SONOS, errors=replace(SONOS.errors.only("programming"), programming=replace(SONOS.errors.programming, scale=30.0)))
    rng = torch.Generator().manual_seed(0)
    centres = torch.rand(4, 64, generator=rng)
    labels = torch.randint(0, 4, (2000,), generator=rng)
    x = (centres[labels] + 0.35 * torch.randn(2000, 64, generator=rng)).clamp_min(0)

    def accuracy(strength):
        torch.manual_seed(1)
        net = convert(torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4)), device, example=x[:100])
        optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 2e-3)
        schedule = Progressive(full=strength)
        for step in range(300):
            schedule.set(net, step / 300)
            part = slice(100 * (step % 15), 100 * (step % 15) + 100)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net.train()(x[part]), labels[part]).backward()
            optimizer.step()
        right = []
        for chip in range(5):
            net[0].chip_seed = net[2].chip_seed = 100 + chip
            right.append(float((net.eval()(x[1500:]).argmax(1) == labels[1500:]).float().mean()))
        return np.mean(right)

    assert accuracy(1.0) > accuracy(0.0) + 0.01


@pytest.mark.parametrize("change, message", [
    ({"weight_bits": 1}, "convert: `weight_bits` is 1, must be 2..8"), ({"activation_bits": 9}, "`activation_bits` is 9, must be 2..8"),
    ({"layers": ["1"]}, "convert: `1` is no Conv2d of one group and no Linear; there are 0, 3"),
    ({"example": torch.full((1, 3, 8, 8), float("nan"))}, "values that are not finite"),
    ({"encoding": Encoding.PLAIN}, "weights have signs, plain cells have none"),
])
def test_bad_conversions(change, message):
    with pytest.raises(FlashError, match=message):
        rpa.flash.convert(model(), SONOS, **{"example": example(), **change})


def test_a_model_without_layers_is_refused():
    with pytest.raises(FlashError, match="ReLU has no Conv2d of one group and no Linear inside"):
        convert(torch.nn.ReLU(), SONOS, example=example())
