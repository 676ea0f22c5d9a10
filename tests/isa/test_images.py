"""ROM images, data image and listing, by hand."""

from __future__ import annotations

import isa
from isa import Program, Segment
from isa.images import data_image, to_bin, to_hex, to_mem
from isa.listing import listing
from isa.machine import config_dict
from tests.isa.machines import MACHINE

SOURCE = """\
.input act shape(2, 3) bits 8
.params scale shape(1) = 1, 2, 3
start: li r1, 0x12345678   ; two words
j start
halt
"""


def test_code_images():
    program = isa.assemble("lui r1, 0x1234\nhalt\n.word 0xFFFFFFFF", MACHINE)
    assert to_hex(program) == "44401234\n00000000\nffffffff\n"
    assert to_mem(program) == ("// text: 3 words\n@00000000\n44401234 // 0: lui r1, 0x1234\n00000000 // 1: halt\nffffffff // 2: illegal\n")
    assert to_bin(program) == bytes.fromhex("34124044 00000000 ffffffff")


def test_data_image():
    program = Program(config_dict(MACHINE), (0,), (Segment(2, b"ab"), Segment(6, b"c")))
    assert data_image(program) == b"\0\0ab\0\0c"
    assert data_image(Program(config_dict(MACHINE), (0,))) == b""


def test_listing(tmp_path):
    path = tmp_path / "kernel.rpa"
    path.write_text(SOURCE)
    program = isa.assemble(path, MACHINE)
    assert listing(program, tmp_path) == """\
; kernel: 4 words
; 0x00000000..0x00000007  input act: 2 x 3, 8 bits signed
; 0x00000040..0x0000004f  data scale: 1, params
                start:
00000  44401234  lui r1, 0x1234                          ; kernel.rpa:3  start: li r1, 0x12345678   ; two words
00001  34445678  ori r1, r1, 22136
00002  6003fffe  jal r0, start                           ; kernel.rpa:4  j start
00003  00000000  halt                                    ; kernel.rpa:5  halt
"""


def test_listing_without_sources(tmp_path):
    program = isa.assemble("nop\n.word 1\nhalt", MACHINE)
    expected = """\
; text: 3 words
00000  2c000000  addi r0, r0, 0                          ; <text>:1
00001  00000001  (illegal)                               ; <text>:2
00002  00000000  halt                                    ; <text>:3
"""
    assert listing(program) == expected
    assert listing(program, tmp_path) == expected


def test_listing_reads_no_file_outside_the_folder(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_text("secret\n")
    program = Program(config_dict(MACHINE), (0,), lines=(("../secret", 1),))
    assert "secret\n" not in listing(program, tmp_path / "root").replace("../secret:1\n", "")
