"""What widths buy a network: figures against the run's counters and sums by hand, where images come from, pictures and tables."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnx", reason="networks need the extra `net`")

from rpa.net.graph import Graph, Node
from rpa.report import network_source, network_tables
from rpa.report.backends import ReportError
from rpa.report.network_files import compile_source
from rpa.report.network_source import NetworkSource, is_network, open_network
from rpa.report.networks import change, measure_network, split_widths
from rpa.report.tables import to_csv

SHAPE, OUT, KERNEL = (4, 8, 8), 16, 3


def small_graph(rng: np.random.Generator) -> Graph:
    """One 3x3 convolution of 4 channels to 16."""
    conv = Node(op="Conv", name="conv", inputs=("x", "w", "b"), outputs=("y",),
                attributes={"stride": (1, 1), "pads": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1, "clip": (0.0, float("inf"))})
    weights = {"w": rng.standard_normal((OUT, SHAPE[0], KERNEL, KERNEL)).astype("f4"), "b": rng.standard_normal(OUT).astype("f4")}
    return Graph(name="small", nodes=(conv,), inputs=("x",), outputs=("y",), shapes={"x": SHAPE, "y": (OUT, *SHAPE[1:])}, initializers=weights)


@pytest.fixture(scope="module")
def source() -> NetworkSource:
    rng = np.random.default_rng(5)
    images = rng.standard_normal((6, *SHAPE)).astype("f4")
    return NetworkSource(graph=small_graph(rng), calibration=images, test=images, notes=("made for a test",))


@pytest.fixture(scope="module")
def measured(source):
    return measure_network(source, ["8", "w4a8"], effort=False)


def test_the_baseline_is_measured_first_though_not_asked_for(measured):
    assert [row.widths for row in measured.rows] == ["16", "8", "w4a8"]
    assert measured.rows[0].speedup == 1
    assert measured.rows[0].bank_change_percent == 0


def test_figures_are_those_of_a_run_of_its_own(source, measured):
    model = compile_source(source, "8", effort=False)
    counters = model.run(source.test[0]).result.counters
    row, base = measured.rows[1], measured.rows[0]
    banks = ("a_reads", "w_reads", "o_reads", "a_writes", "w_writes", "p_writes", "o_writes")
    assert row.cycles == counters["cycles"]
    assert row.bank_words == sum(counters[name] for name in banks)
    assert row.external_bytes == 2 * (counters["ext_read_words"] + counters["ext_write_words"])
    assert row.speedup == base.cycles / row.cycles
    assert row.ex_run_percent + row.ex_wait_percent + row.ex_idle_percent == pytest.approx(100)
    macs = OUT * SHAPE[0] * KERNEL * KERNEL * SHAPE[1] * SHAPE[2]
    assert row.utilisation_percent == pytest.approx(100 * macs / (256 * 2 * counters["cycles"]))


def test_without_reuse_the_baseline_reads_both_operands_in_every_step(source, measured):
    counters = compile_source(source, "16", effort=False).run(source.test[0]).result.counters
    base = measured.rows[0]
    assert counters["a_hits"] + counters["w_hits"] > 0
    every_step = base.bank_words + counters["a_hits"] + counters["w_hits"]
    assert base.bank_change_no_reuse_percent == pytest.approx(100 * (base.bank_words - every_step) / every_step)


def test_sizes_by_hand_and_errors_that_grow(measured):
    weights = OUT * SHAPE[0] * KERNEL * KERNEL
    assert [row.weight_bytes for row in measured.rows] == [2 * weights, weights, weights // 2]
    assert [row.weight_change_percent for row in measured.rows] == [0, -50, -75]
    errors = [row.relative_error_percent for row in measured.rows]
    assert 0 < errors[0] < errors[1] < errors[2] < 50
    assert all(row.integer_equal and row.accuracy_percent is None for row in measured.rows)


def test_labels_give_accuracy(source):
    from rpa.net.float_run import run_float

    right = run_float(source.graph, {"x": source.test})["y"].reshape(len(source.test), -1).argmax(axis=1)
    labels = right.copy()
    labels[0] = (labels[0] + 1) % 100
    found = measure_network(replace(source, labels=labels), ["16"], effort=False)
    assert found.accuracy_float_percent == pytest.approx(100 * 5 / 6)
    assert found.rows[0].accuracy_percent == pytest.approx(100 * 5 / 6)


def test_a_wrong_integer_is_noticed(source, monkeypatch):
    from rpa.net import reference

    right = reference.run

    def wrong(net, inputs, **more):
        features = right(net, inputs, **more)
        features["y"][0, 0, 0] += 1
        return features

    monkeypatch.setattr(reference, "run", wrong)
    assert not measure_network(source, ["16"], effort=False).rows[0].integer_equal


def test_tables_have_units_and_hold_the_rows(measured):
    for row, shown in zip(measured.rows, network_tables.table_rows(measured), strict=True):
        assert len(shown) == len(network_tables.HEADERS)
        assert shown["cycles\n"] == row.cycles
    plain = json.loads(json.dumps(network_tables.plain(measured)))
    assert set(plain["rows"][0]) == set(plain["units"])
    assert all(plain["units"].values())
    assert [row["cycles"] for row in plain["rows"]] == [row.cycles for row in measured.rows]
    assert next(csv.DictReader(io.StringIO(to_csv([row.to_dict() for row in measured.rows]))))["widths"] == "16"
    assert "the same array (16 x 16 PEs)" in network_tables.facts(measured)[0]


def test_published_figures_stand_beside_the_measured(measured):
    rows = {row["figure"]: row for row in network_tables.published_rows(measured)}
    assert rows["speed-up at three widths"]["published"] == "1.012x, 1.273x, 1.556x"
    assert f"{measured.rows[1].speedup:.3f}x at 8" in rows["speed-up at three widths"]["small"]
    assert rows["model size, and accuracy lost for it"]["small"] == "50 % at 8, 25 % at w4a8"
    fastest = max(row.speedup for row in measured.rows)
    assert rows["time, most saved"]["small"].startswith(f"{100 / fastest - 100:+.1f} % at ")


def test_picture(measured):
    pytest.importorskip("matplotlib", reason="pictures need the extra `demo`")
    from rpa.report.network_plot import picture

    data = picture(measured)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(data[at:at + 4], "big") for at in (16, 20))
    assert width > 800 and height > 400


@pytest.mark.parametrize(("now", "before", "percent"), [(50, 100, -50), (150, 100, 50), (0, 10, -100), (1, 0, None)])
def test_change(now, before, percent):
    assert change(now, before) == percent


def test_widths_between_commas():
    assert split_widths(" 16,8,, w4a8") == ["16", "8", "w4a8"]
    with pytest.raises(ReportError, match="widths are ` ,`, must be"):
        split_widths(" ,")


def test_which_names_mean_networks():
    assert is_network("resnet8") and is_network("folder/x.onnx") and is_network("lenet5_w4a3")
    assert not is_network("conv3x3")


def test_lenet5_has_real_images_and_labels():
    found = open_network("lenet5")
    assert found.calibration.shape[1:] == (1, 28, 28)
    assert len(found.test) == len(found.labels) >= 200
    assert found.labels[:3].tolist() == [7, 2, 1]            # of the first test images of MNIST
    assert any("mnist" in note for note in found.notes)


def test_only_the_subset_that_comes_with_the_package(monkeypatch, tmp_path):
    monkeypatch.setenv("RPA_DATA", str(tmp_path))
    found = open_network("lenet5")
    assert len(found.test) == 200
    assert any("mnist-subset, the first 100 for training to calibrate" in note for note in found.notes)


def test_a_data_set_that_is_not_here(monkeypatch, tmp_path):
    monkeypatch.setenv("RPA_DATA", str(tmp_path))
    with pytest.raises(ReportError, match=r"(?s)cifar.*or give images of your own, real numbers \(N, 3, 32, 32\).*--calibration"):
        open_network("resnet8")


def test_images_of_the_user_instead(monkeypatch, tmp_path):
    monkeypatch.setenv("RPA_DATA", str(tmp_path))
    images = np.zeros((2, 3, 32, 32))
    found = open_network("resnet8", calibration=images, called="mine")
    assert found.name == "mine"
    assert found.test is images and found.labels is None


def test_no_labels_without_training(monkeypatch):
    untrained = replace(network_source.find("lenet5"), name="untrained")
    monkeypatch.setattr(network_source, "_shipped", lambda name: (small_graph(np.random.default_rng(0)), untrained, "weights: random"))
    monkeypatch.setattr(network_source, "DATA", {"untrained": ("mnist-subset",)})
    assert open_network("lenet5").labels is None


def test_features_have_no_data_set():
    with pytest.raises(ReportError, match=r"`ds_cnn` takes features.*\(N, 1, 49, 10\).*--calibration"):
        open_network("ds_cnn")


def test_unknown_network_and_labels_alone():
    with pytest.raises(ReportError, match=r"no network is called `resnet9`.*did you mean `resnet8`"):
        open_network("resnet9")
    with pytest.raises(ReportError, match="labels are for test images"):
        open_network("lenet5", labels=np.zeros(3, int))


def test_models_with_integers_of_their_own():
    found = measure_network(open_network("lenet5_w4a3"), ["8"], effort=False)
    row, = found.rows
    assert row.widths == "own" and row.speedup is None and row.integer_equal
    assert row.accuracy_percent > 97
    assert "integers of its own" in found.baseline
    assert found.rows[0].weight_bytes < 62_000 / 2 + 1000         # 61,470 weights and 4 bits
    assert network_tables.published_rows(found)[1]["lenet5_w4a3"] == "-"
