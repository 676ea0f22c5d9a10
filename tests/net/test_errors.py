"""Lists of faults: one line for each reason, every name in them."""

from rpa.net.errors import grouped


def test_one_reason_each():
    assert grouped(["`a`: too wide", "`b`: too deep", "no inputs"]) == "  `a`: too wide\n  `b`: too deep\n  no inputs"


def test_names_with_one_reason_stand_together():
    faults = ["`a` has 2-bit elements", "`x`: too wide", "`b` has 2-bit elements", "`a` has 2-bit elements"]
    assert grouped(["`a` (Erf): is unknown", "`b` (Erf): is unknown", "`c` (Det): is unknown"]) == \
        "  each of 2 (Erf): is unknown:\n    `a`, `b`\n  `c` (Det): is unknown"
    assert grouped(faults, "") == "each of 2 has 2-bit elements:\n  `a`, `b`\n`x`: too wide"


def test_many_names_take_several_lines_and_none_is_lost():
    names = [f"layer{number}.conv" for number in range(100)]
    lines = grouped(f"`{name}`: too wide" for name in names).splitlines()
    assert lines[0] == "  each of 100: too wide:" and max(map(len, lines)) < 140
    assert [word.strip("`,") for line in lines[1:] for word in line.split()] == names
