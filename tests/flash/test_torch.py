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
from rpa.flash.parts import Nonlinearity, Programming  # noqa: E402
from rpa.flash.spec import Adc, Dac, Errors, MacroSpec, Wires  # noqa: E402
from rpa.flash.torch import FlashConv2d, FlashLinear, Progressive, calibrate, convert  # noqa: E402
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


EVERY = Errors.all()
STATIC = {
    "nonlinear": {"errors": EVERY.only("nonlinearity"), "dac": Dac(bits=2)},
    "drivers": {"dac": Dac(bits=2, inl_lsb=0.4, dnl_lsb=0.2, gain_error=0.05)},
    "sar": {"adc": Adc(bits=6, dnl_lsb=0.5, inl_lsb=1.0, offset_lsb=1.5, gain_error=0.03)},
    "ramp": {"adc": Adc(bits=6, kind="ramp", dnl_lsb=0.4, offset_lsb=1.5)},
    "aging": {"errors": EVERY.only("drift", "telegraph", "temperature", "leakage", "stuck_on", "stuck_off")},
    "gate factor": {"errors": EVERY.only("ir_drop"), "wires": Wires(bit_line_ohm=30.0)},
    "gate exact": {"errors": Errors(ir_drop="exact"), "wires": Wires(bit_line_ohm=30.0)},
    "drain exact": {"errors": Errors(ir_drop="exact"), "wires": Wires(bit_line_ohm=10.0, drive="drain")},
}


@pytest.mark.parametrize("which", STATIC)
def test_every_static_error_is_the_chips(which):
    """No class is left out in torch: codes are those of `Chip.convert` for the same cells, seed and operations."""
    spec = replace(SONOS, **{"errors": Errors(), "adc": Adc(bits=7), **STATIC[which]})
    rng = np.random.default_rng(4)
    weights, x = rng.integers(-7, 8, (30, 100)), rng.integers(0, 16, (9, 100))
    made = Programmed(spec, torch.from_numpy(weights), weight_bits=4, encoding=Encoding.DIFFERENTIAL, seed=5, log2_lsb=2)
    (tile,) = made.mapping.tiles
    chip = Chip(spec, seed=5)
    for row, cells in enumerate(tile.cells):
        chip.program(0, row, 0, cells)
    expected, columns = 0, slice(0, tile.cells.shape[1])
    for shift in range(0, 4, spec.dac.bits):
        digits = np.zeros((len(x), spec.rows), np.uint8)
        digits[:, :100] = x >> shift & spec.dac.top
        codes = chip.convert(0, digits, columns, 2, chip.limits(np.count_nonzero(digits, axis=1), 2))
        expected = expected + (made.mapping.combine(tile, codes) << shift + 2)
    assert (made(torch.from_numpy(x), abits=4, signed=False).numpy() == expected).all()
    ideal = Programmed(replace(spec, errors=Errors(), dac=Dac(bits=spec.dac.bits), adc=Adc(bits=spec.adc.bits)), torch.from_numpy(weights),
                       weight_bits=4, encoding=Encoding.DIFFERENTIAL, log2_lsb=2)
    assert (ideal(torch.from_numpy(x), abits=4, signed=False).numpy() != expected).any()


def test_noise_of_larger_digits_follows_the_device():
    """A cell's noise at half its current is not half its noise: the law saturates."""
    spec = replace(SONOS, errors=SONOS.errors.only("read_noise"), dac=Dac(bits=2), adc=Adc(bits="ideal"))
    made = Programmed(spec, torch.full((16, 1), 15), weight_bits=5, encoding=Encoding.DIFFERENTIAL, log2_lsb=-6)
    for digit in (1, 2, 3):
        sums = made(torch.full((4000, 1), digit), abits=2, signed=False)
        sigma = 3 * float(SONOS.device.read_sigma(SONOS.device.max_amp * digit / 3)) / spec.step_amp
        assert float(sums.std()) == pytest.approx(sigma, rel=0.02)


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


@pytest.mark.parametrize("kind", ["macro", "network"])
def test_noise_comes_after_quantization(kind):
    """A fault of published models is noise before it: rounding then swallows what is smaller than half a step, and makes whole steps of the rest."""
    spec = replace(SONOS, errors=Errors(programming=Programming(scale=0.2)))
    torch.manual_seed(0)
    linear = torch.nn.Linear(40, 30, bias=False)
    made = convert(linear, spec, example=torch.eye(40)).train()
    made.log2_lsb = -20     # a step of conversions that adds nothing to see
    step = made.layer.step().detach()[:, None]
    integers = made.layer.integers(step[:, 0]).float()
    if kind == "macro":
        weights = made(torch.eye(40)).detach().T
    else:       # as `rpa.flash.torch.aware` trains whole networks
        made.layer.errors = Perturb(spec, weight_bits=4, seed=1)
        weights = made.layer.train().quantized(step[:, 0]).detach()
    wrong = (weights / step - integers)[integers != 0].abs()
    assert ((wrong > 1e-4) & (wrong < 0.4)).float().mean() > 0.99 and torch.unique(wrong).numel() > 900


@pytest.mark.parametrize("encoding", SIGNED)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("weight_bits, inputs, left", [(4, 90, 1e-3), (7, 90, 0.01), (4, 250, 0.05)])
def test_training_sees_the_compression_that_the_chip_has(encoding, signed, weight_bits, inputs, left):
    """Squared, against what the chip's sums are less than without it. Two tiles do not have quite equal parts."""
    torch.manual_seed(7)
    spec = replace(IDEAL, errors=Errors(nonlinearity=Nonlinearity(sense_ohm=50_000.0)))
    layer = FlashLinear(torch.randn(12, inputs), None, spec, weight_bits=weight_bits, activation_bits=4, encoding=encoding, seed=1)
    x = torch.randn(40, inputs) if signed else torch.rand(40, inputs)
    layer.fit(x)
    layer.log2_lsb = -6  # what rounding leaves is little
    with torch.no_grad():
        chip, trained = layer.eval()(x), layer.train()(x)
        layer.spec = replace(spec, errors=Errors())
        without = layer(x)
    assert (trained - chip).square().mean() < left * (without - chip).square().mean()


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
    ({"weight_bits": 1}, "convert: `weight_bits` is 1, must be an integer 2..8"),
    ({"activation_bits": 9}, "`activation_bits` is 9, must be an integer 2..8"),
    ({"layers": ["1"]}, "convert: `1` is no Conv2d of one group and no Linear; there are 0, 3"),
    ({"example": torch.full((1, 3, 8, 8), float("nan"))}, "values that are not finite"),
    ({"example": torch.zeros(1, 2, 8, 8)}, r"convert: the model does not take the example, torch.float32 \(1, 2, 8, 8\): "),
    ({"example": np.zeros((1, 3, 8, 8))}, r"convert: `example` is array.*, must be Tensor\(...\)"),
    ({"encoding": "reference"}, r"convert: `encoding` is 'reference', must be Encoding\(...\)"),
    ({"seed": -1}, "convert: `seed` is -1, must be an integer 0.."),
    ({"encoding": Encoding.PLAIN}, "weights have signs, plain cells have none"),
])
def test_bad_conversions(change, message):
    with pytest.raises(FlashError, match=message):
        rpa.flash.convert(model(), SONOS, **{"example": example(), **change})


def test_without_an_example_the_first_batch_sets_the_activations():
    """`convert(model, macro)` alone, of a layer that is the model: the same as with that batch as the example; and it is part of the state."""
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 20, 3, padding="same", dilation=2)
    static = replace(SONOS, errors=SONOS.errors.only("programming"))
    late, early = rpa.flash.convert(layer, static), rpa.flash.convert(layer, static, example=example())
    assert isinstance(late, FlashConv2d) and not late.fitted and early.fitted
    fresh = rpa.flash.convert(layer, static)
    assert torch.equal(late.eval()(example()), early.eval()(example())) and late.activation.low == -8
    late(100 * example())
    assert torch.equal(late.activation.scale, early.activation.scale)
    fresh.load_state_dict(late.state_dict())
    assert torch.equal(fresh.eval()(example()), early(example()))


@pytest.mark.parametrize("bits", [5, 8])
def test_calibrated_ranges_are_better_than_those_that_never_clip(bits):
    """Weights and activations of 8 bits: the output's error, by torch in floating point, falls; a range is part of the state."""
    spec = replace(MacroSpec.preset("ideal"), adc=Adc(bits=bits))
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 20, 5, padding=2), torch.nn.ReLU(), torch.nn.Conv2d(20, 20, 3)).eval()
    macros = convert(net, spec, example=example(), weight_bits=8, activation_bits=8, encoding=Encoding.REFERENCE).train()

    def error():
        was = macros.training
        with torch.no_grad():
            out = float((macros.eval()(other) - net(other)).square().mean())
        macros.train(was)
        return out

    other = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    before, found = error(), calibrate(macros, example())
    assert set(found) == {"0", "2"} and macros.training
    assert error() < before / 1.5 and all(one.error <= one.error_never_clipping and 0 <= one.log2_lsb <= one.never_clips for one in found.values())
    fresh = convert(net, spec, weight_bits=8, activation_bits=8, encoding=Encoding.REFERENCE).eval()
    fresh.load_state_dict(macros.state_dict())
    assert fresh[2].log2_lsb == found["2"].log2_lsb and torch.equal(fresh(other), macros.eval()(other))
    with pytest.raises(FlashError, match="calibrate: Sequential has no layer on macros inside"):
        calibrate(net, other)


def test_another_range_after_the_first_run():
    macros = convert(model(), replace(SONOS, errors=Errors()), example=example()).eval()
    first = macros(example())
    macros[0].log2_lsb = 7
    assert not torch.equal(first, macros(example()))
    macros[0].log2_lsb = None
    assert torch.equal(first, macros(example()))


def test_padding_by_name():
    torch.manual_seed(0)
    named, number = torch.nn.Conv2d(3, 20, 5, padding="same", dilation=2), torch.nn.Conv2d(3, 20, 5, padding=4, dilation=2)
    number.load_state_dict(named.state_dict())
    made = [rpa.flash.convert(each, IDEAL).eval()(example()) for each in (named, number)]
    assert torch.equal(*made) and made[0].shape == named(example()).shape
    with pytest.raises(FlashError, match="has no Conv2d"):
        rpa.flash.convert(torch.nn.Conv2d(3, 20, 4, padding="same"), IDEAL)


@pytest.mark.parametrize("where", ["before", "after", "image"])
def test_no_nan_gets_a_code(where):
    """Rounded to an integer, what is no number would become a code like any other."""
    net, x = torch.nn.Sequential(torch.nn.Linear(12, 3)), torch.rand(2, 12)
    if where == "before":
        net[0].weight.data[1, 2] = float("nan")
        with pytest.raises(FlashError, match=r"^convert: `0` has 1 of 36 weights that are not finite numbers$"):
            convert(net, SONOS, example=x)
        return
    macros = convert(net, SONOS, example=x).eval()
    (macros[0].layer.weight.data if where == "after" else x)[1, 2] = float("inf")
    with pytest.raises(FlashError, match="1 of 36 values that are not" if where == "after" else "1 of 24 values that are not"):
        macros(x)


@pytest.mark.parametrize(("arguments", "message"), [
    ((torch.nn.Linear(3, 3), "sonos40"), "convert: `macro` is 'sonos40', must be MacroSpec(...)"),
    (("lenet5", SONOS), "convert: `model` is 'lenet5', must be Module(...)")])
def test_what_is_no_model_and_no_macro(arguments, message):
    with pytest.raises(FlashError) as error:
        convert(*arguments)
    assert str(error.value) == message


def test_a_model_without_layers_is_refused():
    with pytest.raises(FlashError, match="ReLU has no Conv2d of one group and no Linear inside"):
        convert(torch.nn.ReLU(), SONOS, example=example())
