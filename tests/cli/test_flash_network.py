"""`rpa flash calibrate` and `rpa flash energy`."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx", reason="networks need the extra `net`")

SMALL = ["--images", "4", "--layers", "conv1.1,fc3"]


def test_calibrate_prints_ranges(rpa):
    found = rpa("flash", "calibrate", "lenet5_w4a3", "--adc-bits", "6", "--json", *SMALL).data
    assert [row["layer"] for row in found["layers"]] == ["conv1.1", "fc3"] and found["macros"] >= 1
    assert all(row["ADC bits"] == 6 and row["range"] >= 0 and 0 <= row["clipped [%]"] < 5 for row in found["layers"])
    assert found["correct, calibrated [%]"] > 98
    text = rpa("flash", "calibrate", "lenet5_w4a3", "--histogram", *SMALL).out
    assert "fc3: sums of bit lines" in text and "####" in text


def test_layers_by_the_models_names(rpa):
    """As with `rpa compile --place`: conv1 is what the importer calls conv1.1."""
    one, other = (rpa("flash", "energy", "lenet5_w4a3", "--images", "2", "--json", "--layers", names).data["layers"] for names in
                  ("conv1, fc3", "conv1.1,fc3"))
    assert one == other and [row["layer"] for row in one] == ["conv1.1", "fc3", "all"]


def test_energy_prints_where_it_goes(rpa):
    found = rpa("flash", "energy", "lenet5_w4a3", "--json", *SMALL).data
    layers = found["layers"]
    assert [row["layer"] for row in layers] == ["conv1.1", "fc3", "all"]
    parts = ("drivers", "array", "adc", "digital", "buffers")
    for row in layers:
        assert sum(row[f"{part} [nJ]"] for part in parts) == pytest.approx(row["energy [nJ]"])
    assert all(one["source"] for one in found["constants"]) and found["area"]["ADC [mm2]"] > 0
    assert "no source" in rpa("flash", "energy", "lenet5_w4a3", "--constants", *SMALL).out


TABLE = "current [nA], programming 0 d [nA], read [nA]\n0,0,0\n1000,{0},{0}\n"


def test_calibrate_for_a_device_of_ones_own(rpa, tmp_path):
    """The worse its cells, the fewer digits are right; another chip has other cells; errors can be chosen."""
    (tmp_path / "good.csv").write_text(TABLE.format(1))
    (tmp_path / "bad.csv").write_text(TABLE.format(400))

    def right(*options):
        done = rpa("flash", "calibrate", "lenet5_w4a3", "--images", "4", "--json", *options)
        assert done.code == 0, done.err
        return done.data["correct, calibrated [%]"]

    bad = right("--macro", "bad.csv")
    assert right("--macro", "good.csv") > 98 and bad < 90 and right("--macro", "bad.csv", "--seed", "1") != bad
    assert right("--macro", "bad.csv", "--errors", "shot") > 98


@pytest.mark.parametrize("options, code, message", [
    (["--macro", "none.csv"], 1, "none.csv: cannot be read"),
    (["--errors", "wear"], 1, "no error class `wear`; there are programming,"),
    (["--macro", "nor55", "--errors", "drift,"], 1, "no error class ``"),
    (["--encoding", "plane"], 2, "differential, reference or plain"),
    (["--layers", "conv9"], 1, "no sum of products called `conv9`"),
    (["--macro", "sonos"], 1, "no device `sonos`"),
    (["--adc-bits", "0"], 2, "greater than or equal to 1"),
])
def test_bad_options_are_named(rpa, options, code, message):
    done = rpa("flash", "calibrate", "lenet5_w4a3", *options)
    assert done.code == code and message in done.err and "Traceback" not in done.err
