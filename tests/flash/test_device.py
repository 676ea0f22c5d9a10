"""Devices: figures of the sources, the laws behind them, and tables of users."""

import math

import numpy as np
import pytest

from rpa.flash.curve import Curve, Retention
from rpa.flash.device import Device, Residue, Subthreshold, preset
from rpa.flash.errors import FlashError
from rpa.flash.laws import Table

SONOS = preset("sonos40")
NANO = 1e-9


@pytest.mark.parametrize(("days", "amplitude", "knee"), [(0, 19.887, 176.31), (1, 25.591, 186.86), (2, 28.728, 193.57), (3, 31.043, 198.90),
                                                         (4, 33.762, 204.77), (5, 34.579, 207.34),
                                                         (2.5, (28.728 + 31.043) / 2, (193.57 + 198.90) / 2)])
def test_sonos_programming_follows_the_published_fit(days, amplitude, knee):
    for current in (0, 10, 200, 1600):
        expected = amplitude * (1 - math.exp(-current / knee))
        assert SONOS.programming_sigma(current * NANO, days) / NANO == pytest.approx(expected, rel=1e-12)


def test_sonos_read_noise_follows_the_published_fit():
    for current in (0, 100, 1600):
        assert SONOS.read_sigma(current * NANO) / NANO == pytest.approx(12.580 * (1 - math.exp(-current / 215.37)), rel=1e-12)


@pytest.mark.parametrize(("days", "current", "change"), [(0, 800, 0), (1, 10, 0.7), (1, 400, 0.6), (5, 1600, -40.7), (5, 100, 4.1), (1, 600, -1.6),
                                                         (3, 1200, (-7.3 - 28.5) / 2), (0.5, 800, -1.9), (5, 0, 0), (5, 1700, -40.7)])
def test_sonos_drift_is_interpolated_in_current_and_days(days, current, change):
    assert (SONOS.drifted(current * NANO, days) - current * NANO) / NANO == pytest.approx(change, abs=1e-9)


def test_beyond_the_table_there_is_no_drift_to_know():
    with pytest.raises(FlashError, match=r"^Table: the age is 30 days, must be 0\.\.5: the table ends there$"):
        SONOS.drifted(1e-7, 30)
    with pytest.raises(FlashError, match=r"^Saturating: the age is 5.1 days, must be 0\.\.5: the table ends there$"):
        SONOS.programming_sigma(1e-7, 5.1)


def test_the_currents_of_a_table_broadcast_with_ages():
    table = Table(days=(0, 2), currents=(0, 10), values=((0, 10), (20, 40)))
    assert table([[0], [5], [20]], [0, 1, 2]).tolist() == [[0, 10, 20], [5, 17.5, 30], [10, 25, 40]]


class TestCurve:
    curve = Curve(slope=1.5, specific_amp=1e-6)

    def test_below_the_threshold_a_millivolt_is_2_6_percent(self):
        fewer = self.curve.shifted(1e-13, 1e-3) / 1e-13
        assert 1 - fewer == pytest.approx(0.0255, abs=0.0003)
        assert fewer == pytest.approx(math.exp(-1e-3 / (1.5 * 8.617333262e-5 * 300)), rel=1e-4)

    def test_above_the_threshold_it_is_quadratic(self):
        assert self.curve.current(4.0) / self.curve.current(2.0) == pytest.approx(4, rel=1e-9)

    def test_overdrive_is_the_inverse_of_current(self):
        currents = np.geomspace(1e-15, 1e-3, 50)
        assert self.curve.current(self.curve.overdrive(currents)) == pytest.approx(currents, rel=1e-9)

    def test_transconductance_is_the_slope_of_current(self):
        currents, step = np.geomspace(1e-12, 1e-4, 20), 1e-6
        at = self.curve.overdrive(currents)
        slope = (self.curve.current(at + step) - self.curve.current(at - step)) / (2 * step)
        assert self.curve.transconductance(currents) == pytest.approx(slope, rel=1e-6)


class TestRetention:
    def test_a_charged_cell_loses_its_law_by_the_decade(self):
        law = Retention(volt_per_decade=0.01, days=1.0, activation_ev=1.0)
        assert law.volt(np.array([1.0, 0.5, 0.0]), 99.0, 300.0) == pytest.approx([-0.02, -0.01, 0.0])

    def test_heat_shortens_time_by_arrhenius(self):
        law = Retention(volt_per_decade=0.01, days=1.0, activation_ev=1.0)
        faster = math.exp(1.0 / 8.617333262e-5 * (1 / 300 - 1 / 350))
        assert law.volt(np.ones(1), 99.0 / faster, 350.0) == pytest.approx([-0.02])

    def test_small_currents_rise_and_the_full_current_stays(self):
        device = preset("nor55")
        before = np.array([1e-11, 1e-8, 1e-6])
        after = device.drifted(before, 1000.0)
        assert after[2] == pytest.approx(1e-6) and (np.diff(after / before) < 0).all() and after[0] > 1.5 * before[0]


def test_temperature_is_a_residue_of_three_percent_over_sixty_kelvin():
    assert SONOS.at_temperature([1e-7, 1e-6], 360.0) == pytest.approx([1.03e-7, 1.03e-6])
    assert Residue(per_kelvin=0.001)(1.0, 1.0, 290.0) == pytest.approx(0.99)


def test_ratio_reading_far_below_the_threshold_is_a_power_law():
    """The same ratio by the exponential law itself: both thresholds fixed, n U_T moves with temperature."""
    volt, kelvin = 0.1, 350.0
    ratio = math.exp(-volt / (1.5 * 8.617333262e-5 * 300))
    assert Subthreshold()(ratio * 1e-6, 1e-6, kelvin) == pytest.approx(1e-6 * math.exp(-volt / (1.5 * 8.617333262e-5 * kelvin)))


TABLE = """# cells of ours
current [nA], read [pA], programming 0 d [nA], programming 10 d [nA], drift 10 d [nA]
0, 0, 0, 0, 0
100, 500, 2, 4, -1
1000, 5000, 10, 20, -30
"""


def test_a_table_of_a_user(tmp_path):
    path = tmp_path / "ours.csv"
    path.write_text(TABLE)
    device = Device.from_csv(path)
    assert (device.name, device.min_amp, device.max_amp) == ("ours", 0.0, pytest.approx(1e-6))
    assert device.read_sigma(100e-9) == pytest.approx(0.5e-9)
    assert device.programming_sigma(550e-9, 5.0) == pytest.approx((2 + 10) / 4 * 1e-9 + (4 + 20) / 4 * 1e-9)
    assert device.drifted(1e-6, 5.0) == pytest.approx(985e-9)


def test_a_table_without_drift_does_not_drift(tmp_path):
    path = tmp_path / "still.csv"
    path.write_text("current [uA],programming 0 d [uA],read [uA]\n0,0,0\n1,0.01,0.02\n")
    assert Device.from_csv(path).drifted(5e-7, 300.0) == pytest.approx(5e-7)


def test_a_table_as_spreadsheets_write_it(tmp_path):
    """With a byte order mark and the line ends of another system."""
    path = tmp_path / "sheet.csv"
    path.write_bytes(b"\xef\xbb\xbf" + TABLE.split("\n", 1)[1].replace("\n", "\r\n").encode())
    assert Device.from_csv(path).max_amp == pytest.approx(1e-6)


def _replaced(old, new):
    assert old in TABLE
    return TABLE.replace(old, new)


BAD = {
    "a gap": (_replaced("100, 500, 2,", "100, , 2,"), "4: `read` is empty, must be a number"),
    "a missing field": (_replaced("0, 0, 0, 0, 0\n", "0, 0, 0, 0\n"),
                        "3: 4 fields, must be 5: current, read, programming 0 d, programming 10 d, drift 10 d"),
    "a wrong unit": (_replaced("read [pA]", "read [V]"), "2: column `read [V]` is in `V`, must be in one of A, mA, uA, nA, pA"),
    "no unit": (_replaced("read [pA]", "read"),
                '2: column `read` is unknown, must be like "current [nA]", "read [nA]", "programming 0 d [nA]" or "drift 5 d [nA]"'),
    "not rising": (_replaced("1000, 5000", "100, 5000"), "5: current 1e-07 A is not above the 1e-07 A of the line before"),
    "negative": (_replaced("5000, 10,", "5000, -10,"), "5: `programming 0 d` is -10, must be a finite number, at least 0"),
    "NaN": (_replaced("-30", "nan"), "5: `drift 10 d` is nan, must be a finite number"),
    "infinite": (_replaced("100, 500", "inf, 500"), "4: `current` is inf, must be a finite number, at least 0"),
    "text": (_replaced("5000", "much"), "5: `read` is `much`, must be a number"),
    "no column": (_replaced("read [pA]", "drift 1 d [pA]"),
                  "2: no column `read`; there are current, drift 1 d, programming 0 d, programming 10 d, drift 10 d"),
    "twice": (_replaced("programming 10 d", "programming 0.0 d"), "2: column `programming 0.0 d` is there twice"),
    "current of amperes": (_replaced("current [nA]", "current [mA]"), "4: `current` is 0.1 A, a cell carries at most 0.001 A; is the unit right?"),
    "noise of another unit": (_replaced("read [pA]", "read [nA]"),
                              "5: `read` is 5e-06 A, more than the largest current of the table, 1e-06 A; is the unit right?"),
    "drift of another unit": (_replaced("100, 500, 2, 4, -1", "100, 500, 2, 4, -200"),
                              "4: `drift 10 d` is -2e-07 A, a cell of 1e-07 A cannot lose more than that; is the unit right?"),
    "drift at once": (_replaced("drift 10 d", "drift 0 d"), "2: column `drift 0 d`: drift is 0 at 0 days, leave it out"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_refused_with_their_line(name, tmp_path):
    text, message = BAD[name]
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(FlashError) as error:
        Device.from_csv(path)
    assert str(error.value) == f"{path}:{message}"


def test_files_that_are_no_tables(tmp_path):
    path = tmp_path / "x.csv"
    for content, message in ((b"current [A]\n", "1 lines, must be a line of names and at least two of numbers"),
                             (b"\xff\xfe", "byte 0 is not UTF-8 text"), (b" " * (1 << 21), "2097152 bytes, a table of a device has at most 1048576")):
        path.write_bytes(content)
        with pytest.raises(FlashError) as error:
            Device.from_csv(path)
        assert str(error.value) == f"{path}: {message}"
    with pytest.raises(FlashError, match="cannot be read"):
        Device.from_csv(tmp_path / "none.csv")
