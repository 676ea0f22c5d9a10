"""`rpa compile --place`: which layers go to NOR-flash macros, and `rpa run --macro` of what was compiled."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="networks need the extra `net`")

from rpa.models import load_quantized
from rpa.net import reference
from rpa.net.onnx_import import load_onnx
from rpa.net.qdq import to_integer

NET = ("compile", "lenet5_w4a3", "--no-effort", "-o", "out")
LAYERS = ["conv1.1", "conv2.1", "fc1.1", "fc2.1", "fc3"]
PROGRAM = "out/lenet5_w4a3.rpb"


def placed(done) -> set[str]:
    """Layers that --explain says are on macros."""
    return {line.split(":")[0] for line in done.out.splitlines() if " on macros, " in line}


@pytest.mark.parametrize("options, layers", [
    (["fc1.1=flash", "fc3=flash"], {"fc1.1", "fc3"}),
    (["fc1=flash"], {"fc1.1"}),
    (["all=flash", "conv1=array", "conv2=array"], {"fc1.1", "fc2.1", "fc3"}),
])
def test_layers_by_name(rpa, options, layers):
    done = rpa(*NET, *(word for option in options for word in ("--place", option)), "--explain")
    assert done.code == 0, done.err
    assert placed(done) == layers and "Where layers go" not in done.out


def test_by_latency_the_sooner_one_wins(rpa):
    done = rpa(*NET, "--place", "auto=latency", "--explain")
    assert done.code == 0, done.err
    table = done.out[done.out.index("Where layers go"):].splitlines()
    rows = [line.replace(",", "").split() for line in table if line.split() and line.split()[0] in LAYERS and len(line.split()) == 4]
    assert [row[0] for row in rows] == LAYERS
    chosen = {name for name, where, *_ in rows if where == "flash"}
    assert chosen == {name for name, _, array, flash in rows if int(flash) < int(array)} == placed(done)
    assert 0 < len(chosen) < len(LAYERS)


def test_what_is_named_stays_where_it_is_put(rpa):
    done = rpa(*NET, "--place", "auto=latency", "--place", "fc1=array", "--place", "fc3=flash", "--explain")
    assert done.code == 0, done.err
    assert placed(done) == {"fc3"}


def test_a_digit_on_exact_macros_and_on_chips(rpa, tmp_path):
    (tmp_path / "exact.toml").write_text('preset = "hybrid"\nnv_adc_bits = 11\n')
    assert rpa(*NET, "--place", "fc1=flash", "--place", "fc3=flash", "--config", "exact.toml").code == 0
    image = np.random.default_rng(5).integers(0, 8, (28, 28, 1))
    np.save(tmp_path / "x.npy", image)
    outputs = {}
    for name, options in {"twin": [], "ideal": ["--macro", "ideal"], "one": ["--macro", "sonos40", "--seed", "1"],
                          "again": ["--macro", "sonos40", "--seed", "1"], "two": ["--macro", "sonos40", "--seed", "2"]}.items():
        done = rpa("run", PROGRAM, "--input", "x.npy", "--output", f"{name}.npy", *options)
        assert done.code == 0, done.err
        outputs[name] = np.load(tmp_path / f"{name}.npy")
    net = to_integer(load_onnx(load_quantized("lenet5_w4a3")))
    exact = reference.run(net, {net.inputs[0]: image})[net.outputs[0]]
    assert (outputs["twin"] == exact).all() and (outputs["ideal"] == exact).all()
    assert (outputs["one"] == outputs["again"]).all()
    assert (outputs["one"] != exact).any() and (outputs["one"] != outputs["two"]).any()


@pytest.mark.parametrize("options, message", [
    (["--place", "conv9=flash"], "`lenet5_w4a3` has no layer with weights called `conv9`; there are conv1.1, conv2.1, fc1.1, fc2.1, fc3"),
    (["--place", "conv2=digital"], "placement `conv2=digital`, must be NAME=flash, NAME=array, all=flash, or once auto=latency|energy|accuracy"),
    (["--place", "auto=speed"], "placement `auto=speed`, must be NAME=flash, NAME=array, all=flash, or once auto=latency|energy|accuracy"),
    (["--place", "auto=latency", "--place", "auto=energy"],
     "placement `auto=energy`, must be NAME=flash, NAME=array, all=flash, or once auto=latency|energy|accuracy"),
    (["--place", "fc1=flash", "--place", "fc1=array"],
     "placement `fc1=array`, must be NAME=flash, NAME=array, all=flash, or once auto=latency|energy|accuracy"),
    (["--place", "fc1=flash", "--preset", "default"],
     "this machine has no NOR-flash macros (`nv_macros` is 0): choose a configuration that has, such as hybrid"),
    (["--place", "fc1=flash", "--macro", "sonos"], "no device `sonos`; there are sonos40, nor55, nor65"),
])
def test_refusals(rpa, tmp_path, options, message):
    done = rpa(*NET, *options)
    assert done.code == 1
    assert [line for line in done.err.splitlines() if not line.startswith("note: ")] == [f"error: {message}"]
    assert not (tmp_path / "out").exists()


def test_macros_of_a_program_without_any(rpa):
    assert rpa(*NET, "--preset", "default").code == 0
    done = rpa("run", PROGRAM, "--macro", "sonos40", "--seed", "1")
    assert done.code == 2 and "the machine of this program has no NOR-flash macros" in done.err
