"""`rpa flash parameters`."""

from rpa.flash.describe import devices, parameters


def test_it_prints_every_parameter_and_device(rpa):
    found = rpa("flash", "parameters", "--json").data
    assert len(found["parameters"]) == len(parameters()) and found["devices"] == devices()
    text = rpa("flash", "parameters").out
    assert "1..10 mV at 40..65 nm" in text and "IEDM 2022" in text
