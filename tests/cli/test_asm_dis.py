"""`rpa asm` and `rpa dis`: formats, streams, machines, and what they say about bad input."""

from __future__ import annotations

import struct

import pytest

from isa import Program, assemble
from rpa import ArrayConfig
from tests.cli.conftest import FIRST


def test_program_file_is_what_the_api_makes(rpa, program_file):
    assert program_file.read_bytes() == assemble(FIRST, ArrayConfig.preset("tiny")).to_bytes()


def test_output_is_beside_the_source_by_default(rpa, tmp_path):
    (tmp_path / "a.rpa").write_text("halt\n")
    assert rpa("asm", "a.rpa").code == 0
    assert Program.load(tmp_path / "a.rpb").code == (0,)


def test_bin_from_standard_input_to_standard_output(rpa):
    done = rpa("asm", "-", "--format", "bin", stdin=b"addi r1, r0, 3\nhalt\n")
    assert struct.unpack("<2I", done.raw) == (0x0B << 26 | 1 << 22 | 3, 0)


@pytest.mark.parametrize("form", ["mem", "hex", "listing"])
def test_text_formats_hold_every_word(rpa, form):
    words = assemble(FIRST, ArrayConfig.preset("tiny")).code
    text = rpa("asm", FIRST, "--preset", "tiny", "--format", form, "-o", "-").out
    assert all(f"{word:08x}" in text for word in words)


def test_listing_shows_the_source_lines(rpa):
    assert "ld    a, mem" in rpa("asm", FIRST, "--format", "listing", "-o", "-").out


def test_disassembly_assembles_to_the_same_words(rpa, program_file):
    text = rpa("dis", "first.rpb").out
    again = Program.from_bytes(rpa("asm", "-", "--preset", "tiny", "-o", "-", stdin=text.encode()).raw)
    assert again.code == Program.load(program_file).code


def test_constants_from_outside(rpa):
    source = b".default N = 1\naddi r1, r0, N\nhalt\n"
    done = rpa("asm", "-", "-D", "N=0x10", "--format", "hex", stdin=source)
    assert int(done.out.split()[0], 16) & 0xFFFF == 16


def test_machine_from_a_configuration_file(rpa, tmp_path):
    (tmp_path / "mine.toml").write_text('preset = "small"\nmem_latency = 3\n')
    config = Program.from_bytes(rpa("asm", "-", "--config", "mine.toml", stdin=b"halt\n").raw).config
    assert (config["rows"], config["mem_latency"]) == (4, 3)


def test_every_fault_of_a_source_is_reported_with_its_place(rpa, tmp_path):
    (tmp_path / "bad.rpa").write_text("addi r1, r0, 999999\nhlat\n")
    done = rpa("asm", "bad.rpa")
    assert done.code == 1
    assert "bad.rpa:1:" in done.err and "bad.rpa:2:" in done.err and "did you mean `halt`?" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "bad.rpb").exists()


@pytest.mark.parametrize(("arguments", "message"), [
    (("asm", "missing.rpa"), "error: missing.rpa: cannot be read: No such file or directory"),
    (("asm", FIRST, "-o", "no/such/folder.rpb"), "error: no/such/folder.rpb: cannot be written: No such file or directory"),
    (("asm", FIRST, "--config", "bad.toml"), "error: bad.toml: not a TOML file: "),
    (("asm", FIRST, "--config", "rows.toml"), "error: `rows` is 99, must be 1..32"),
    (("asm", FIRST, "--config", "key.toml"), "error: unknown configuration key `size`; "),
    (("asm", FIRST, "--config", "base.toml"), "error: no preset `huge`; "),
    (("asm", FIRST, "-D", "Q=1"), "`Q`"),
])
def test_faults_in_the_input_exit_with_1(rpa, tmp_path, arguments, message):
    for name, text in {"bad": "rows = = 3", "rows": "rows = 99", "key": "size = 3", "base": 'preset = "huge"'}.items():
        (tmp_path / f"{name}.toml").write_text(text)
    done = rpa(*arguments)
    assert done.code == 1
    assert message in done.err
    assert done.raw == b""


@pytest.mark.parametrize(("arguments", "message"), [
    (("asm",), "Missing argument"),
    (("asm", FIRST, "--preset", "huge"), "`huge`; there are tiny, small, ecp5, default"),
    (("asm", FIRST, "--preset", "tiny", "--config", "a.toml"), "exclude each other"),
    (("asm", FIRST, "--format", "elf"), "elf"),
    (("asm", FIRST, "-D", "N"), "must be NAME=VALUE"),
    (("asm", FIRST, "-D", "N=1", "-D", "N=2"), "given twice"),
    (("asm", FIRST, "-D", "N=x"), "must be an integer"),
    (("nosuch",), "nosuch"),
])
def test_bad_usage_exits_with_2(rpa, arguments, message):
    done = rpa(*arguments)
    assert done.code == 2
    assert message in done.err


def test_a_traceback_with_debug_only(rpa):
    assert "Traceback" not in rpa("asm", "missing.rpa").err
    assert "Traceback" in rpa("asm", "missing.rpa", "--debug").err


def test_a_failed_write_leaves_the_old_file(rpa, tmp_path):
    (tmp_path / "out.rpb").write_bytes(b"old")
    (tmp_path / "bad.rpa").write_text("hlat\n")
    assert rpa("asm", "bad.rpa", "-o", "out.rpb").code == 1
    assert (tmp_path / "out.rpb").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.rpa", "out.rpb"]
