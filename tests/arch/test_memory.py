"""Memory images of programs: bytes by hand, tensors back, and every refusal with its whole message."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa.layout import Layout
from isa.program import Program, Segment, Tensor
from rpa.arch.config import ArrayConfig
from rpa.arch.errors import InputError
from rpa.arch.memory import build_memory, read_tensor

CONFIG = ArrayConfig.preset("tiny")
X = Tensor("x", "input", "tensor", 64, (2, 3), 8, True)
RQ = Tensor("rq", "input", "params", 128, (2,))
W = Tensor("w", "data", "tensor", 0, (2,), 16, False)
Y = Tensor("y", "output", "tensor", 192, (2, 5), 4, False)
PROGRAM = Program(config=CONFIG.to_dict(), code=(0,), segments=(Segment(0, b"\x01\x02\x03\x04"),),
                  tensors={t.name: t for t in (X, RQ, W, Y)}, name="demo")
GOOD = {"x": np.array([[1, 2, -1], [4, 5, 6]]), "rq": np.array([[-1, 3, 31], [7, 1 << 30, 62]])}


def test_image_by_hand():
    memory = build_memory(PROGRAM, GOOD)
    assert memory.shape == (CONFIG.mem_bytes,)
    assert memory[:4].tolist() == [1, 2, 3, 4]
    assert memory[64:72].tolist() == [1, 2, 255, 0, 4, 5, 6, 0]
    assert memory[128:144].tolist() == [255] * 6 + [3, 0, 0, 0, 31, 0, 0, 0, 0, 0]


def test_tensors_come_back():
    memory = build_memory(PROGRAM, GOOD | {"w": np.array([9, 65535])})
    for name, values in GOOD.items():
        assert np.array_equal(read_tensor(memory, PROGRAM.tensors[name]), values)
    assert read_tensor(memory, W).tolist() == [9, 65535]
    memory[192:196] = (0x21, 0x43, 0xF5, 0xFF)
    assert read_tensor(memory, Y)[0].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("inputs", "message"), [
    ({}, "`demo` needs values for `x` (2, 3) 8 bits signed, `rq` (2, 3) bias, multiplier, shift"),
    (GOOD | {"xx": 1}, "`demo` has no input `xx`; did you mean `x`?"),
    (GOOD | {"y": 1}, "`demo` has no input `y`; inputs are rq, w, x"),
    (GOOD | {"x": np.zeros((3, 2), int)}, "`x` has shape (3, 2), must be (2, 3) 8 bits signed"),
    (GOOD | {"x": np.zeros((2, 3))}, "`x` has type float64, must be an integer type: (2, 3) 8 bits signed"),
    (GOOD | {"x": np.full((2, 3), 200)}, "`x`: value[0, 0] is 200, must be -128..127 (8 bits signed)"),
    (GOOD | {"rq": np.array([[0, 1, 0], [0, 1, 1]])}, "`rq`: shift is 0, must be 1..62"),
])
def test_refusals(inputs, message):
    with pytest.raises(InputError) as caught:
        build_memory(PROGRAM, inputs)
    assert str(caught.value) == message


def test_layout_by_hand():
    x = Tensor("x", "input", "tensor", 64, (2, 2, 3), 8, True, Layout((6, 2), 1, 12, 0xEEFF))
    program = Program(config=CONFIG.to_dict(), code=(0,), tensors={"x": x})
    memory = build_memory(program, {"x": np.arange(12).reshape(2, 2, 3)})
    border = [0xFF, 0xEE]
    assert memory[64:88].tolist() == [*border, 0, 1, 2, 0, 3, 4, 5, 0, *border, *border, 6, 7, 8, 0, 9, 10, 11, 0, *border]
    assert not memory[88:].any()
    assert read_tensor(memory, x).tolist() == np.arange(12).reshape(2, 2, 3).tolist()


@given(st.data(), st.sampled_from([2, 4, 8, 16]), st.booleans(), st.permutations(range(3)))
def test_layouts_come_back(data, bits, signed, order):
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=4, max_size=4)))
    span = -(-shape[-1] * bits // 16)
    strides = [0, 0, 0]
    for dim in order:
        strides[dim] = span + data.draw(st.integers(0, 2))
        span += (shape[dim] - 1) * strides[dim]
    x = Tensor("x", "input", "tensor", 64, shape, bits, signed, Layout(tuple(strides), 3, 3 + span + 2, 0x1234))
    program = Program(config=CONFIG.to_dict(), code=(0,), tensors={"x": x})
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    values = np.random.default_rng(data.draw(st.integers(0, 9))).integers(low, high + 1, shape)
    memory = build_memory(program, {"x": values})
    assert np.array_equal(read_tensor(memory, x), values)
    words = memory[64:x.end].view("<u2")
    between = np.ones(len(words), bool)
    for index in np.ndindex(shape[:-1]):
        start = 3 + int(np.dot(index, strides))
        between[start:start + x.row_words] = False
        number = sum((int(value) & (1 << bits) - 1) << bits * n for n, value in enumerate(values[index]))
        assert sum(int(word) << 16 * n for n, word in enumerate(words[start:start + x.row_words])) == number
    assert (words[between] == 0x1234).all()
    assert not memory[:64].any() and not memory[x.end:].any()
