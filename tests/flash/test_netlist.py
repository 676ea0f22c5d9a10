"""Netlists: their text by hand, their currents by ngspice against nodal analysis, and `rpa flash netlist`."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rpa.flash.errors import FlashError
from rpa.flash.ir import ladder, netlist, ngspice, transistor
from tests.cli.conftest import rpa as rpa  # the fixture
from tests.flash import nodal

needs_ngspice = pytest.mark.skipif(ngspice.find() is None, reason="ngspice is not installed (apt-get install ngspice)")


def random_array(rows, cols, seed=0):
    """Cells of 0..16 uS, one of them 0, and inputs with a 0 among them."""
    rng = np.random.default_rng(seed)
    cells, inputs = rng.uniform(0, 16e-6, (rows, cols)), rng.random(rows)
    cells[0, 0] = inputs[-1] = 0
    return cells, inputs


def test_gate_driven_text():
    text = netlist.gate_driven([[0.5], [0.25]], [1, 0.5], read_volt=0.1, bit_line_ohm=2)
    assert text == """\
* gate-driven array, 2 rows x 1 columns, bit lines 2.0 ohm a cell, read at 0.1 V
rc0_0 b0_0 0 2.0
rc1_0 b1_0 0 8.0
rb0_0 b0_0 b1_0 2.0
rb1_0 b1_0 s0 2.0
vs0 s0 0 dc 0.1
.options reltol=1e-9 abstol=1e-18 vntol=1e-15
.control
set numdgt=16
op
print i(vs0)
quit 0
.endc
.end
"""


def test_drain_driven_text():
    text = netlist.drain_driven([[0.5, 0]], [0.5], read_volt=0.2, bit_line_ohm=2, word_line_ohm=3)
    assert text.splitlines()[:9] == [
        "* drain-driven array, 1 rows x 2 columns, bit lines 2.0 and word lines 3.0 ohm a cell, inputs up to 0.2 V",
        "vd0 d0 0 dc 0.1", "rw0_0 d0 w0_0 3.0", "rw0_1 w0_0 w0_1 3.0", "rc0_0 w0_0 b0_0 2.0", "rb0_0 b0_0 s0 2.0", "rb0_1 b0_1 s1 2.0",
        "vs0 s0 0 dc 0", "vs1 s1 0 dc 0"]


def test_a_netlist_is_numbers_and_generated_names():
    cells, inputs = random_array(6, 4)
    for text in (netlist.gate_driven(cells, inputs, read_volt=0.1, bit_line_ohm=1, cell=transistor.Transistor()),
                 netlist.drain_driven(cells.astype(np.float32), inputs, read_volt=np.float64(0.1), bit_line_ohm=1, word_line_ohm=1)):
        assert "np." not in text
        title, *lines = text.splitlines()
        assert re.fullmatch(r"\* (gate|drain)-driven array, [\w\s,.-]+", title)
        assert all(re.fullmatch(r"[a-z0-9_.()\s=*/+e-]+", line) for line in lines)


@needs_ngspice
@pytest.mark.parametrize("ohm", [0.68, 500.0])
def test_ngspice_gate_driven(ohm):
    cells, inputs = random_array(12, 5)
    found = ngspice.currents(netlist.gate_driven(cells, inputs, read_volt=0.1, bit_line_ohm=ohm), 5)
    np.testing.assert_allclose(found, nodal.gate_driven(cells, inputs, 0.1, ohm), rtol=1e-9)


@needs_ngspice
def test_ngspice_drain_driven():
    cells, inputs = random_array(7, 9)
    found = ngspice.currents(netlist.drain_driven(cells, inputs, read_volt=0.1, bit_line_ohm=50, word_line_ohm=20), 9)
    np.testing.assert_allclose(found, nodal.drain_driven(cells, 0.1 * inputs, 50, 20), rtol=1e-10)


@needs_ngspice
@pytest.mark.parametrize("kelvin", [250.0, 360.0])
def test_ngspice_transistors(kelvin):
    cells, inputs = random_array(12, 5)
    law = transistor.Transistor(kelvin=kelvin, output_per_volt=0.3)
    found = ngspice.currents(netlist.gate_driven(cells, inputs, read_volt=0.1, bit_line_ohm=500, cell=law), 5)
    np.testing.assert_allclose(transistor.currents(cells, [inputs], read_volt=0.1, bit_line_ohm=500, cell=law)[0], found, rtol=1e-9)


def test_transistors_lose_less_than_resistors():
    cells, inputs = random_array(128, 4)
    ideal = 0.1 * inputs @ cells
    lost = 1 - transistor.currents(cells, [inputs], read_volt=0.1, bit_line_ohm=0.01)[0] / ideal
    linear = 1 - ladder.currents(cells, [inputs], read_volt=0.1, bit_line_ohm=0.01)[0] / ideal
    # Small drops cost dI/I = (dlog s/dlog v) dV/V; at 0.1 V and 300 K, with 0.1/V, that is 3.868*exp(-3.868)/(1-exp(-3.868)) + 0.01/1.01 = 0.0925.
    np.testing.assert_allclose(lost / linear, 0.0925, rtol=2e-3)


def test_one_transistor_by_hand():
    """One cell behind 1 ohm at a small current: the current is that of its law, less the drop's part."""
    law = transistor.Transistor(kelvin=300.0, output_per_volt=0.0)
    found = transistor.currents([[1e-6]], [[1.0]], read_volt=0.1, bit_line_ohm=1e4, cell=law)[0, 0]
    thermal = 1.380649e-23 / 1.602176634e-19 * 300
    left = 0.1 - 1e4 * found
    assert found == pytest.approx(1e-7 * (1 - np.exp(-left / thermal)) / (1 - np.exp(-0.1 / thermal)), rel=1e-8)


def test_without_ngspice(monkeypatch):
    monkeypatch.setattr(ngspice, "find", lambda: None)
    with pytest.raises(FlashError, match=r"^`ngspice` is not installed: apt-get install ngspice$"):
        ngspice.currents("", 1)


@needs_ngspice
def test_a_netlist_that_ngspice_refuses():
    with pytest.raises(FlashError, match=r"^ngspice: "):
        ngspice.currents("* gate-driven nonsense\nq1 nothing\n.end\n", 1)


@needs_ngspice
def test_ngspice_that_takes_too_long():
    cells, inputs = random_array(3, 3)
    with pytest.raises(FlashError, match=r"^ngspice: no result after 0\.001 s; simulate a smaller array or allow more$"):
        ngspice.currents(netlist.gate_driven(cells, inputs, read_volt=0.1, bit_line_ohm=1), 3, timeout_sec=0.001)


@pytest.mark.parametrize(("given", "message"), [
    ({"bit_line_ohm": 0}, "bit_line_ohm must be more than 0 and finite, not 0.0"),
    ({"inputs": [[1.0]]}, "inputs has shape (1, 1), must be (1,): one vector, a netlist is one operating point"),
    ({"inputs": [1.0, 1.0]}, "inputs has shape (1, 2), must be (vectors, 1): one value per word line of the array"),
    ({"conductances": [[float("inf")]]}, "conductances[0, 0] is inf; must hold finite conductances of 0 siemens or more (1 do not)"),
    ({"read_volt": -0.1}, "read_volt must be more than 0 and finite, not -0.1"),
])
def test_bad_input_is_refused(given, message):
    arguments = {"conductances": [[1e-6]], "inputs": [1.0], "read_volt": 0.1, "bit_line_ohm": 1.0} | given
    with pytest.raises(FlashError) as caught:
        netlist.gate_driven(**arguments)
    assert str(caught.value) == message


def test_command_writes_cells_and_inputs_from_files(rpa, tmp_path):
    np.save(tmp_path / "cells.npy", np.array([[1e-6], [2e-6]]))
    np.save(tmp_path / "inputs.npy", np.array([0.5, 1.0]))
    done = rpa("flash", "netlist", "--cells", "cells.npy", "--inputs", "inputs.npy", "--read-volt", "0.2", "-o", "array.cir")
    assert (done.code, done.err) == (0, "")
    resistors = re.findall(r"^rc\S+ \S+ 0 (\S+)$", (tmp_path / "array.cir").read_text(), re.MULTILINE)
    assert [float(each) for each in resistors] == pytest.approx([0.2 / 0.5e-6, 0.2 / 2e-6])


def test_command_is_reproducible(rpa):
    first, second, other = (rpa("flash", "netlist", "--seed", seed, "-o", "-").out for seed in (1, 1, 2))
    assert first == second != other
    assert first.count("\nrb") == 64


@needs_ngspice
@pytest.mark.parametrize("options", [(), ("--transistor",), ("--drive", "drain", "--word-line-ohm", "30")])
def test_command_checks(rpa, options):
    rows = rpa("flash", "netlist", "--check", "--json", "--bit-line-ohm", 30, "-o", "array.cir", *options).data
    assert len(rows) == 8
    assert all(row["difference"] < 1e-9 and row["ngspice_amp"] < row["no_wires_amp"] for row in rows)


@pytest.mark.parametrize(("options", "code", "message"), [
    (("--bit-line-ohm", "-1"), 1, "error: Wires: `bit_line_ohm` is -1.0, must be above 0 and at most 1000 ohm\n"),
    (("--device", "none"), 1, "error: no device `none`; there are sonos40, nor55, nor65\n"),
    (("--transistor", "--drive", "drain"), 2, None),
    (("--rows", "2000"), 2, None),
    (("--cells", "missing.npy"), 1, "error: missing.npy: cannot be read: No such file or directory\n"),
])
def test_command_refuses(rpa, tmp_path, options, code, message):
    done = rpa("flash", "netlist", "-o", "array.cir", *options)
    assert done.code == code
    assert message is None or done.err == message
    assert not (tmp_path / "array.cir").exists()
