"""Every parameter says what it is; every figure says where it comes from."""

import re

import pytest

from rpa.flash.describe import KINDS, devices, parameters

SIZES = {"MacroSpec", ("Dac", "bits"), ("Adc", "bits"), ("Adc", "kind"), ("Adc", "share"), ("Adc", "sparsity_aware"), ("Wires", "drive")}
"""What a user chooses to build, which has no source."""
SWITCHES = {"programming", "read_noise", "leakage", "nonlinearity", "ir_drop", "telegraph", "drift_days", "temperature_kelvin", "shot"}
"""Errors whose figures are those of the device, or of a class of their own."""


@pytest.mark.parametrize("one", parameters(), ids=lambda one: f"{one.of}.{one.name}")
def test_a_parameter_has_a_meaning_a_default_and_a_source(one):
    assert one.meaning or one.of == "MacroSpec", "no docstring"
    assert "MISSING" not in one.default
    if one.of in SIZES or (one.of, one.name) in SIZES or one.name in SWITCHES or one.name == "scale":
        return
    assert re.search(r"source|arXiv|IEDM|65 nm", one.meaning), one.meaning


@pytest.mark.parametrize("one", [one for one in parameters() if one.of == "Errors"], ids=lambda one: one.name)
def test_errors_are_off_by_a_word_and_say_what_they_are_when_on(one):
    assert one.default == '"ideal"' and one.switched_on not in ("", '"ideal"')


def test_every_class_is_listed():
    assert {one.of for one in parameters()} == {kind.__name__ for kind in KINDS}
    assert [device["device"] for device in devices()] == ["sonos40", "nor55", "nor65"]
