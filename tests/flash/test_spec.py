"""Parameters: the word that switches errors off, what is refused and how it is said, sizes from a machine."""

from dataclasses import replace

import pytest

from rpa.arch.config import ArrayConfig
from rpa.flash.curve import Curve, Retention
from rpa.flash.device import Device, preset
from rpa.flash.errors import FlashError
from rpa.flash.laws import Constant, Relative, Saturating, Table
from rpa.flash.parts import Nonlinearity, Programming, ReadNoise, Shot, Telegraph
from rpa.flash.spec import CLASSES, Adc, Dac, Errors, MacroSpec, Wires, for_config, spec_named

NAN = float("nan")
_FLAT = {"programming": Constant(amp=0.0), "read": Constant(amp=0.0), "drift": Constant(amp=0.0)}
BAD = [
    (lambda: Dac(bits=0), "Dac: `bits` is 0, must be an integer 1..4"),
    (lambda: Dac(bits=5), "Dac: `bits` is 5, must be an integer 1..4"),
    (lambda: Dac(gain_error=-0.1), "Dac: `gain_error` is -0.1, must be 0..1"),
    (lambda: Dac(dnl_lsb="off"), 'Dac: `dnl_lsb` is "off", must be "ideal" or a number'),
    (lambda: Dac(inl_lsb=3.0), "Dac: `inl_lsb` is 3.0, must be -2..2 LSB"),
    (lambda: Adc(bits=0), "Adc: `bits` is 0, must be an integer 1..16"),
    (lambda: Adc(bits=17), "Adc: `bits` is 17, must be an integer 1..16"),
    (lambda: Adc(bits=8.0), "Adc: `bits` is 8.0, must be an integer 1..16"),
    (lambda: Adc(bits="many"), 'Adc: `bits` is "many", must be "ideal" or a number'),
    (lambda: Adc(kind="flash"), "Adc: `kind` is 'flash', must be one of \"sar\", \"ramp\""),
    (lambda: Adc(share=0), "Adc: `share` is 0, must be an integer 1..1024"),
    (lambda: Adc(offset_lsb=NAN), "Adc: `offset_lsb` is nan, must be 0..64 LSB"),
    (lambda: Adc(gain_error=None), "Adc: `gain_error` is None, must be a number 0..1"),
    (lambda: Adc(sparsity_aware=1), "Adc: `sparsity_aware` is 1, must be True or False"),
    (lambda: Adc(bits="ideal", dnl_lsb=0.5),
     'Adc: `bits` is "ideal" and a converter error is not: errors are in steps of a resolution, give `bits`'),
    (lambda: Wires(bit_line_ohm=-1.0), "Wires: `bit_line_ohm` is -1.0, must be above 0 and at most 1000 ohm"),
    (lambda: Wires(word_line_ohm=0), "Wires: `word_line_ohm` is 0, must be above 0 and at most 1000 ohm"),
    (lambda: Wires(drive="source"), "Wires: `drive` is 'source', must be one of \"gate\", \"drain\""),
    (lambda: Wires(read_volt=0.0), "Wires: `read_volt` is 0.0, must be above 0 and at most 10 V"),
    (lambda: Wires(activity=1.5), "Wires: `activity` is 1.5, must be 0..1"),
    (lambda: Errors(programming=0), 'Errors: `programming` is 0, must be "ideal" or Programming(...)'),
    (lambda: Errors(read_noise=0.1), 'Errors: `read_noise` is 0.1, must be "ideal" or ReadNoise(...)'),
    (lambda: Errors(stuck_off=1.5), "Errors: `stuck_off` is 1.5, must be 0..1"),
    (lambda: Errors(stuck_off=0.6, stuck_on=0.6), "Errors: `stuck_off` and `stuck_on` are together 1.2, must be at most 1"),
    (lambda: Errors(leakage=True), "Errors: `leakage` is True, must be one of \"ideal\", \"device\""),
    (lambda: Errors(ir_drop=False), "Errors: `ir_drop` is False, must be one of \"ideal\", \"factor\", \"exact\""),
    (lambda: Errors(drift_days=-1), "Errors: `drift_days` is -1, must be 0..36500 days"),
    (lambda: Errors(temperature_kelvin=25), "Errors: `temperature_kelvin` is 25, must be 200..500 K"),
    (lambda: Errors.all().only("wear"), f"no error class `wear`; there are {', '.join(CLASSES)}"),
    (lambda: Programming(scale=0), "Programming: `scale` is 0, must be above 0 and at most 100"),
    (lambda: ReadNoise(scale=float("inf")), "ReadNoise: `scale` is inf, must be above 0 and at most 100"),
    (lambda: Nonlinearity(sense_ohm=-5), "Nonlinearity: `sense_ohm` is -5, must be 0..1e+06 ohm"),
    (lambda: Telegraph(mean_volt=0), "Telegraph: `mean_volt` is 0, must be above 0 and at most 1 V"),
    (lambda: Telegraph(dwell_operations=0), f"Telegraph: `dwell_operations` is 0, must be an integer 1..{1 << 40}"),
    (lambda: Shot(integration_sec=0), "Shot: `integration_sec` is 0, must be above 0 and at most 1 s"),
    (lambda: MacroSpec(rows=0), "MacroSpec: `rows` is 0, must be an integer 1..1024"),
    (lambda: MacroSpec(cols=1025), "MacroSpec: `cols` is 1025, must be an integer 1..1024"),
    (lambda: MacroSpec(cell_bits=0), "MacroSpec: `cell_bits` is 0, must be an integer 1..4"),
    (lambda: MacroSpec(wires=None), 'MacroSpec: `wires` is None, must be "ideal" or Wires(...)'),
    (lambda: MacroSpec(errors="ideal"), "MacroSpec: `errors` is 'ideal', must be Errors(...)"),
    (lambda: MacroSpec(wires="ideal", errors=Errors(ir_drop="factor")),
     'MacroSpec: `errors.ir_drop` is "factor" and `wires` are "ideal": give wires or switch the error off'),
    (lambda: MacroSpec(dac=Dac(bits=2), errors=Errors(ir_drop="exact", nonlinearity=Nonlinearity())),
     'MacroSpec: `errors.ir_drop` is "exact" in a gate-driven array with digits of 2 bits and nonlinear cells; the ladder scales cells by digits: '
     'take "factor", 1 bit, or linear cells'),
    (lambda: MacroSpec.preset("reram"), "no device `reram`; there are sonos40, nor55, nor65"),
    (lambda: Device(min_amp=1e-6, max_amp=1e-6, **_FLAT), "Device: `min_amp` is 1e-06 A, must be below `max_amp`, which is 1e-06 A"),
    (lambda: Device(min_amp=-1e-9, max_amp=1e-6, **_FLAT), "Device: `min_amp` is -1e-09, must be 0..1 A"),
    (lambda: Device(min_amp=0, max_amp=0, **_FLAT), "Device: `max_amp` is 0, must be above 0 and at most 1 A"),
    (lambda: MacroSpec(errors=Errors(drift_days=30.0)),
     "MacroSpec: `errors.drift_days`: 30 days, device `sonos40`: Saturating: the age is 30 days, must be 0..5: the table ends there"),
    (lambda: Device(min_amp=0, max_amp=1e-6, **(_FLAT | {"read": 0.01})), "Device: `read` is 0.01, must be a law such as those of rpa.flash.laws"),
    (lambda: Device(min_amp=0, max_amp=1e-6, **(_FLAT | {"programming": Table(days=(0,), currents=(0, 1e-6), values=((0, -1e-9),))})),
     "Device: `programming` gives -1e-09..0 A over the device's currents, must be finite and at least 0"),
    (lambda: Curve(slope=0.5), "Curve: `slope` is 0.5, must be 1..10"),
    (lambda: Curve(specific_amp=0), "Curve: `specific_amp` is 0, must be above 0 and at most 1 A"),
    (lambda: Retention(days=0), "Retention: `days` is 0, must be above 0 and at most 1e+06 days"),
    (lambda: Relative(fraction=-0.1), "Relative: `fraction` is -0.1, must be 0..1"),
    (lambda: Saturating(amplitude_amp=(1e-9,), knee_amp=(0.0,)), "Saturating: `knee_amp` is 0.0, must be above 0 and at most 1 A"),
    (lambda: Saturating(amplitude_amp=(1e-9, 1e-9), knee_amp=(1e-9,)),
     "Saturating: 1 days, 2 amplitudes and 1 knees, must be as many of each, at least one"),
    (lambda: Table(days=(0, 0), currents=(0, 1), values=((0, 0), (0, 0))),
     "Table: `days` is (0, 0), must be at least one number, from 0 on, each greater than the one before"),
    (lambda: Table(days=(0,), currents=(0, 1), values=((0, 0, 0),)), "Table: values are [3], must be 1 rows of 2"),
    (lambda: Table(days=(0,), currents=(0, 1), values=((0, NAN),)), "Table: a value is not a finite number"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[message.split(",")[0] for _, message in BAD])
def test_parameters_without_sense_are_refused(make, message):
    with pytest.raises(FlashError) as error:
        make()
    assert str(error.value) == message


def test_errors_are_off_by_a_word_and_each_alone_can_be_on():
    everything = Errors.all()
    assert Errors() == Errors.ideal() and Errors().active == ()
    assert everything.active == tuple(CLASSES)
    for name in CLASSES:
        assert everything.only(name).active == (name,)
        assert everything.without(name).active == tuple(other for other in CLASSES if other != name)
    assert everything.only("drift", "programming") == Errors(drift_days=5.0, programming=Programming())


def test_zero_days_are_not_ideal():
    assert Errors(drift_days=0.0).active == ("drift",)


@pytest.mark.parametrize("name", ["sonos40", "nor55", "nor65"])
def test_presets_are_a_device_with_programming_and_read_noise(name):
    spec = MacroSpec.preset(name)
    assert (spec.device, spec.errors.active, spec.rows, spec.cols, spec.cell_bits) == (preset(name), ("programming", "read_noise"), 128, 128, 4)
    assert spec.device.source != "no source"


def test_the_ideal_preset_has_no_error_at_all():
    spec = MacroSpec.preset("ideal")
    assert spec.errors == Errors.ideal() and spec.wires == "ideal" and spec.adc.is_ideal and spec.step_amp * 15 == pytest.approx(1.6e-6)


def test_macros_as_users_name_them(tmp_path):
    """A preset, or a table of their own, with the errors that they name."""
    table = tmp_path / "mine.csv"
    table.write_text("current [nA], programming 0 d [nA], programming 5 d [nA], read [nA], drift 5 d [nA]\n0,0,0,0,0\n500,20,30,5,-10\n")
    mine = spec_named(str(table))
    assert (mine.device, mine.errors) == (Device.from_csv(table), Errors.all().only("programming", "read_noise"))
    assert spec_named("nor55") == MacroSpec.preset("nor55") and spec_named("ideal") == MacroSpec.preset("ideal")
    assert spec_named(str(table), "all").errors == Errors.all()
    assert spec_named("sonos40", "drift, ir_drop").errors == Errors.all().only("drift", "ir_drop")
    assert spec_named("ideal", "ir_drop").wires == Wires() and spec_named("ideal", "stuck_on").wires == "ideal"


@pytest.mark.parametrize(("name", "errors", "message"), [
    ("none.csv", None, "none.csv: cannot be read: No such file or directory"),
    ("reram", None, "no device `reram`; there are sonos40, nor55, nor65"),
    ("sonos40", "drift,wear", f"no error class `wear`; there are {', '.join(CLASSES)}"),
    ("sonos40", "", f"no error class ``; there are {', '.join(CLASSES)}")])
def test_macros_that_nobody_knows(name, errors, message):
    with pytest.raises(FlashError) as error:
        spec_named(name, errors)
    assert str(error.value) == message


def test_sizes_come_from_the_machine():
    config = ArrayConfig(nv_macros=1, nv_rows=64, nv_cols=256, nv_cell_bits=2, nv_dac_bits=3, nv_adc_bits=10, nv_adc_share=16)
    spec = for_config(config, replace(MacroSpec.preset("nor55"), adc=Adc(kind="ramp", dnl_lsb=0.5)))
    assert (spec.rows, spec.cols, spec.cell_bits, spec.dac.bits) == (64, 256, 2, 3)
    assert spec.adc == Adc(bits=10, share=16, kind="ramp", dnl_lsb=0.5) and spec.device == preset("nor55")
    assert for_config(config, MacroSpec(adc=Adc(bits="ideal"))).adc.bits == "ideal"


def test_leakage_moves_the_smallest_code():
    leaky = MacroSpec(errors=Errors(leakage="device"))
    assert (leaky.min_amp, MacroSpec().min_amp) == (pytest.approx(1.6e-13), 0.0)
    assert leaky.min_amp + 15 * leaky.step_amp == pytest.approx(1.6e-6)
