"""Tables of widths: what is read, written and refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpa.quant.errors import QuantError
from rpa.quant.scales import WIDTHS
from rpa.quant.widths import Width, WidthTable, parse_table, parse_widths

widths = st.builds(Width, st.sampled_from(WIDTHS), st.sampled_from(WIDTHS))
tables = st.builds(WidthTable, widths, st.dictionaries(st.text(min_size=1), widths, max_size=5), st.sampled_from(WIDTHS))


@given(tables)
def test_text_and_back(table):
    assert parse_table(table.to_toml()) == table


def test_file_and_back(tmp_path):
    table = WidthTable(Width(8, 8), {"conv1": Width(4, 2)})
    path = tmp_path / "widths.toml"
    table.save(path)
    assert parse_widths(path) == parse_widths(str(path)) == table


@pytest.mark.parametrize(("text", "act", "weight"), [("8", 8, 8), (4, 4, 4), ("w4a8", 8, 4), ("W3A16", 16, 3)])
def test_short_forms(text, act, weight):
    table = parse_widths(text)
    assert (table.default, dict(table.layers), table.output_bits) == (Width(act, weight), {}, 16)
    assert parse_widths(str(table.default)) == table


def test_a_row_may_leave_out_what_is_the_default():
    table = parse_table('[default]\nact_bits = 8\nweight_bits = 4\n[layers."a.b"]\nact_bits = 2\n')
    assert table["a.b"] == Width(2, 4) and table["other"] == Width(8, 4)


DEFAULT = "[default]\nact_bits = 8\nweight_bits = 8\n"
FAULTS = [
    ("", "`[default]` is missing, with act_bits and weight_bits"),
    ("x = ", "not TOML: Invalid value (at end of document)"),
    ("[default]\nact_bits = 8\n", "[default] has no `weight_bits`"),
    (DEFAULT + "bits = 3\n", "[default] has `bits`; did you mean `"),
    (DEFAULT + "[layer.a]\n", "the table has `layer`; did you mean `layers`?"),
    (DEFAULT + "[layers]\nconv = 8\n", '[layers."conv"] is 8, must be a table with act_bits, weight_bits'),
    ("layers = 3\n" + DEFAULT, '`layers` must hold tables'),
    (DEFAULT + "[layers.conv]\nact_bits = 5\n", '[layers."conv"]: act_bits is 5, must be one of 16, 8, 4, 3, 2'),
    (DEFAULT + "[layers.conv]\nweight_bits = '8'\n", "[layers.\"conv\"]: weight_bits is '8', must be one of 16, 8, 4, 3, 2"),
    (DEFAULT + "[layers.conv]\nweight_bit = 8\n", '[layers."conv"] has `weight_bit`; did you mean `weight_bits`?'),
    (DEFAULT + "[layers.conv]\nact_bits = true\n", '[layers."conv"]: act_bits is True, must be one of 16, 8, 4, 3, 2'),
    (DEFAULT + "[layers.conv]\nact_bits = [8]\n", '[layers."conv"]: act_bits is [8], must be one of 16, 8, 4, 3, 2'),
    ("output_bits = 5\n" + DEFAULT, "output_bits is 5, must be one of 16, 8, 4, 3, 2"),
    ("default = 8\n", "[default] is 8, must be a table with act_bits, weight_bits"),
]


@pytest.mark.parametrize(("text", "message"), FAULTS)
def test_faults(text, message):
    with pytest.raises(QuantError) as caught:
        parse_table(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(("spec", "message"), [
    ("w4", "widths are 'w4', must be a number of bits such as 8, weights and activations such as w4a8, or a .toml file"),
    ("", "widths are '', must be a number of bits such as 8, weights and activations such as w4a8, or a .toml file"),
    ("7", "act_bits is 7, must be one of 16, 8, 4, 3, 2"),
    ("w1a8", "weight_bits is 1, must be one of 16, 8, 4, 3, 2"),
    ("missing.toml", "missing.toml: cannot be read: No such file or directory"),
])
def test_faults_of_specs(spec, message):
    with pytest.raises(QuantError) as caught:
        parse_widths(spec)
    assert str(caught.value) == message


def test_a_file_that_is_no_table(tmp_path):
    path = tmp_path / "widths.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(QuantError) as caught:
        parse_widths(path)
    assert str(caught.value) == f"{path}: cannot be read: not UTF-8"
    path.write_text("[default]\n")
    with pytest.raises(QuantError) as caught:
        parse_widths(path)
    assert str(caught.value) == f"{path}: [default] has no `act_bits`"
