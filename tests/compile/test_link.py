"""Networks to programs and files: what runs, what comes back from disk, and what does not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import isa
import rpa
from isa.program import Program
from rpa.arch.config import ArrayConfig
from rpa.arch.memory import build_memory
from rpa.compile.check import first_difference
from rpa.compile.commands import Command, Nest
from rpa.compile.errors import CompileError
from rpa.compile.layout import Layout, Placed, place
from rpa.compile.link import feature_names, file_stem, link, write
from rpa.compile.network import map_network
from rpa.net.integer import IntNet, Mac
from rpa.net.reference import run as reference
from tests.net.nets import draw, feature, out_shape, random_term

CONFIG = ArrayConfig.preset("small")


def chain(rng, channels=(3, 8, 4), size=10, bits=8) -> IntNet:
    """3x3 convolutions in a row, with zero points, one of them with a stride."""
    features = [feature("in put", (size, size, channels[0]), bits, zero_point=3)]
    nodes = []
    for number, count in enumerate(channels[1:]):
        source = features[-1]
        term = random_term(rng, source, m=count, pads=(1, 1, 1, 1), stride=(1 + number % 2,) * 2, bits=bits)
        name = "ld" if number == 0 else f"conv{number}.out"      # names that the assembler does not take
        features.append(feature(name, out_shape(source.shape, term), bits, zero_point=-2))
        nodes.append(Mac(name=f"conv{number}", terms=(term,), bias=rng.integers(-500, 500, count), multiplier=np.full(count, 1 << 30),
                         shift=np.full(count, 37), output=name))
    return IntNet(name="a chain/1", features={f.name: f for f in features}, inputs=("in put",), outputs=(features[-1].name,), nodes=tuple(nodes))


@pytest.fixture(scope="module")
def linked():
    net = chain(np.random.default_rng(5))
    mapped = map_network(net, CONFIG)
    return net, mapped, link(net, mapped.layout, mapped.nest, CONFIG)


def test_the_program_computes_the_network(linked):
    net, mapped, result = linked
    assert first_difference(mapped.nest, result.program) is None
    image = draw(np.random.default_rng(6), net.features["in put"])
    names = feature_names(net)
    assert names == {"in put": "in_put", "ld": "x_ld", "conv1.out": "conv1_out"}
    outcome = rpa.run(result.program, {"in_put": image})
    assert outcome.fault is None
    assert np.array_equal(outcome.outputs["conv1_out"], reference(net, {"in put": image})["conv1.out"])


def test_files_say_the_same(linked, tmp_path):
    _, _, result = linked
    source, data, program = write(result, tmp_path)
    assert [path.name for path in (source, data, program)] == ["a_chain_1.rpa", "a_chain_1.weights.npy", "a_chain_1.rpb"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a_chain_1.rpa", "a_chain_1.weights.npy", "a_chain_1.rpb"])
    assert Program.load(program, result.config) == result.program
    again = isa.assemble(source, result.config)
    assert (again.code, again.tensors, again.symbols, again.lines, again.name) == (
        result.program.code, result.program.tensors, result.program.symbols, result.program.lines, result.program.name)
    assert again.segments == result.program.segments
    image = {"in_put": np.zeros((10, 10, 3), int)}
    assert np.array_equal(build_memory(again, image), build_memory(result.program, image))


def test_sizes_grow_and_are_reported(linked):
    net, mapped, _ = linked
    least = replace(CONFIG, imem_words=64, mem_bytes=1024)
    result = link(net, mapped.layout, mapped.nest, least)
    assert set(result.grown) == {"imem_words", "mem_bytes"}
    for name, (before, after) in result.grown.items():
        need = len(result.program.code) if name == "imem_words" else max(tensor.end for tensor in result.program.tensors.values())
        assert before == getattr(least, name) and after // 2 < need <= after == getattr(result.config, name)


def test_a_data_image_beyond_memory():
    net = chain(np.random.default_rng(5))
    layout = place(net, CONFIG)
    huge = Placed(net.features["in put"], 0, (1, 1, 1, 1), 2, 24, 1 << 30, 0)
    layout = Layout(CONFIG, {"in put": huge}, constants_address=1 << 31)
    with pytest.raises(CompileError) as caught:
        link(net, layout, Nest("", ()), CONFIG)
    assert str(caught.value) == "`a chain/1` needs 2147483650 bytes of `mem_bytes`, the most is 2147483648"


def test_code_beyond_instruction_memory():
    net = chain(np.random.default_rng(5))
    bases = np.random.default_rng(1).integers(0, 1 << 15, 66_000).tolist()
    nest = Nest("", tuple(Command("ld a, fill", {"ld.base": base}) for base in bases))
    with pytest.raises(CompileError, match="`a chain/1` needs more than 131072 instructions, the most that `imem_words` can be"):
        link(net, place(net, CONFIG), nest, CONFIG)


@pytest.mark.parametrize(("name", "stem"), [("../../etc/passwd", "etc_passwd"), ("ResNet-8", "ResNet-8"), ("...", "network"), ("a" * 300, "a" * 100)])
def test_file_names_stay_in_their_folder(name, stem):
    assert file_stem(name) == stem
