"""`rpa flash study`: the list, options, tables, verdicts and pictures."""

from __future__ import annotations

import csv
import io

import pytest

from rpa.data import DataError, load

pytest.importorskip("onnx", reason="studies of networks need the extra `net`")

PNG = b"\x89PNG\r\n\x1a\n"
NAMES = ["sweep", "sparsity", "resnet", "lenet", "wires"]


@pytest.fixture
def need():
    """Skip, with the reason, where a data set is not there."""
    def there(name: str) -> None:
        try:
            load(name)
        except DataError as error:
            pytest.skip(str(error))
    return there


def said(err: str) -> str:
    """An error without the frame around it."""
    return " ".join(" ".join(line.strip("│╭╮╰╯─ ") for line in err.splitlines()).split())


def test_without_a_name_it_lists_studies_with_their_claims(rpa):
    rows = rpa("flash", "study", "--json").data
    assert [row["study"] for row in rows] == NAMES
    assert [set(row) for row in rows] == [{"study", "published"}] * len(NAMES)
    text = rpa("flash", "study").out
    assert all(row["study"] in text and row["published"] in text for row in rows)


@pytest.mark.parametrize("arguments, message", [
    (["nope"], "Invalid value for NAME: `nope`; there are sweep, sparsity, resnet, lenet, wires"),
    (["lenett"], "Invalid value for NAME: `lenett`; did you mean `lenet`?"),
    (["wires", "--images", "3"], "Invalid value for --images: the study wires has no such option; it has --seed"),
    (["sparsity", "--chips", "2", "--adc-bits", "6"],
     "Invalid value for --chips, --adc-bits: the study sparsity has no such option; it has --images"),
    (["sweep", "--weights", "4,x"], "Invalid value for --weights: `4,x`, must be numbers of bits with commas between"),
    (["wires", "--json", "--csv"], "--json and --csv exclude each other"),
    (["lenet", "--images", "0"], "Invalid value for '--images': Input should be greater than or equal to 1"),
])
def test_bad_usage_is_named(rpa, arguments, message):
    done = rpa("flash", "study", *arguments)
    assert done.code == 2 and done.raw == b""
    assert message in said(done.err), said(done.err)


def test_wires_as_table_json_csv_and_picture(rpa, tmp_path):
    done = rpa("flash", "study", "wires", "--json", "--plot", "wires.png")
    assert done.code == 0, done.err
    assert (tmp_path / "wires.png").read_bytes().startswith(PNG)
    data = done.data
    assert list(data) == ["study", "claim", "rows", "verdict"] and data["study"] == "wires"
    sizes = [(rows, ohm) for rows in (128, 256, 512, 1024) for ohm in (0.15, 0.68, 3.0)]
    assert [(row["rows"], row["wire [ohm/cell]"]) for row in data["rows"]] == sizes
    found = list(csv.DictReader(io.StringIO(rpa("flash", "study", "wires", "--csv").out)))
    assert [{key: float(value) for key, value in row.items()} for row in found] == data["rows"]
    text = rpa("flash", "study", "wires").out
    assert text.startswith(data["claim"]) and text.splitlines()[-2:] == data["verdict"]


def test_a_seed_is_another_array(rpa):
    first, again, other = (rpa("flash", "study", "wires", "--csv", "--seed", seed).raw for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("name, options, message", [
    ("lenet", ["--macro", "sonos"], "error: no device `sonos`; there are sonos40, nor55, nor65"),
    ("lenet", ["--images", "10001"], "error: study: `images` is 10001, must be an integer 1..10000"),
    ("sparsity", ["--images", "10001"], "error: study sparsity: `images` is 10001, must be 1..10000, the test images of MNIST"),
    ("sweep", ["--weights", "9"], "error: study sweep: weights: `bits` is 9, must be an integer 2..8"),
])
def test_what_cannot_be_run_is_refused(rpa, need, name, options, message):
    need("mnist")
    done = rpa("flash", "study", name, *options)
    assert done.code == 1 and done.err.strip() == message


@pytest.mark.parametrize("name, data, options, rows, verdicts", [
    ("lenet", "mnist", ["--images", "20", "--chips", "1"], 7, 1),
    ("sparsity", "mnist", ["--images", "20"], 24, 12),
    ("sweep", "mnist", ["--weights", "4", "--activations", "3", "--images", "20", "--chips", "1"], 1, 1),
    ("resnet", "cifar10", ["--images", "2", "--chips", "1"], 6, 3),
])
def test_studies_of_networks(rpa, need, tmp_path, name, data, options, rows, verdicts):
    need(data)
    done = rpa("flash", "study", name, *options, "--json", "--plot", "it.png")
    assert done.code == 0, done.err
    found = done.data
    assert (tmp_path / "it.png").read_bytes().startswith(PNG)
    keys = list(found["rows"][0])
    assert all(list(row) == keys for row in found["rows"])
    assert len({row["images"] for row in found["rows"] if "images" in row}) <= 1
    assert found["verdict"] and all(line.endswith((": yes", ": NO")) for line in found["verdict"])
    assert (len(found["rows"]), len(found["verdict"])) == (rows, verdicts)


def test_details_are_left_to_programs(rpa, need):
    need("mnist")
    arguments = ["flash", "study", "sparsity", "--images", "2"]
    text, rows = rpa(*arguments).out, rpa(*arguments, "--json").data["rows"]
    assert "buffers after [nJ]" in rows[0] and "buffers" not in text
    for row in rows:
        parts = ("drivers", "array", "adc", "digital", "buffers")
        assert sum(row[f"{part} after [nJ]"] for part in parts) == pytest.approx(row["all after [nJ]"])


def test_macros_of_a_study():
    """What studies switch on, by the macro's name: wires that are ideal lose nothing."""
    from rpa.flash.study.evaluate import field_spec

    assert field_spec("sonos40").errors.ir_drop == "factor" and field_spec("ideal").errors.ir_drop == "ideal"
