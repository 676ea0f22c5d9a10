"""Packing against hand-written words and as an identity with unpacking."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpa.arch.errors import NumericsError
from rpa.arch.numerics import pack, pack_params, unpack, unpack_params


def test_words_by_hand():
    assert pack(np.array([1, 2, 3, -1]), 4).tolist() == [0xF321]
    assert pack(np.array([0x12, 0x34, 0x56]), 8, signed=False).tolist() == [0x3412, 0x0056]
    assert pack(np.array([0, 1, 2, 3, 3, 2, 1, 0]), 2, signed=False).tolist() == [0b00_01_10_11_11_10_01_00]
    assert pack(np.array([[-1], [7]]), 16).tolist() == [[0xFFFF], [7]]


@given(bits=st.sampled_from([2, 4, 8, 16]), signed=st.booleans(), rows=st.integers(1, 3), count=st.integers(0, 20), data=st.data())
def test_unpack_inverts_pack(bits, signed, rows, count, data):
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    values = data.draw(st.lists(st.lists(st.integers(low, high), min_size=count, max_size=count), min_size=rows, max_size=rows))
    array = np.array(values, np.int64).reshape(rows, count)
    words = pack(array, bits, signed=signed)
    assert words.shape == (rows, -(-count * bits // 16))
    assert np.array_equal(unpack(words, bits, count, signed=signed), array)


@pytest.mark.parametrize(("values", "bits", "signed", "message"), [
    ([1.5], 8, True, "array has type float64, must be an integer type"),
    ([[0, 0], [0, 128]], 8, True, "array[1, 1] is 128, must be -128..127 (8 bits signed)"),
    ([-1], 2, False, "array[0] is -1, must be 0..3 (2 bits unsigned)"),
    ([1], 3, True, "element width is 3, must be one of 2, 4, 8, 16"),
    (5, 8, True, "array is a scalar, must have at least one dimension"),
])
def test_pack_refuses(values, bits, signed, message):
    with pytest.raises(NumericsError) as caught:
        pack(np.array(values), bits, signed=signed)
    assert str(caught.value) == message


def test_unpack_refuses_more_elements_than_there_are():
    with pytest.raises(NumericsError, match="9 elements of 4 bits do not fit"):
        unpack(np.zeros(2, np.uint16), 4, 9)


def test_parameter_entry_by_hand():
    entry = pack_params(-2, 0x4000_0001, 33)
    assert entry.tolist() == [[0xFFFE, 0xFFFF, 0xFFFF, 0x0001, 0x4000, 33, 0, 0]]
    assert pack_params(np.array([1 << 40, 5]), 7, 1)[:, :3].tolist() == [[0, 0, 0x100], [5, 0, 0]]


@given(st.lists(st.tuples(st.integers(-(1 << 47), (1 << 47) - 1), st.integers(0, (1 << 31) - 1), st.integers(1, 62)), min_size=1, max_size=9))
def test_parameters_round_trip(values):
    array = np.array(values, np.int64)
    assert np.array_equal(unpack_params(pack_params(array[:, 0], array[:, 1], array[:, 2])), array)


@pytest.mark.parametrize(("bias", "multiplier", "shift", "message"), [
    (1 << 47, 1, 1, "bias is 140737488355328, must be -140737488355328..140737488355327"),
    (0, 1 << 31, 1, "multiplier is 2147483648, must be 0..2147483647"),
    (0, 1, [1, 63], "shift is 63, must be 1..62"),
    ([0, 0], [1, 1, 1], 1, "bias, multiplier and shift have shapes (2,), (3,), (1,), must be (M,) or scalar"),
])
def test_parameters_refused(bias, multiplier, shift, message):
    with pytest.raises(NumericsError) as caught:
        pack_params(bias, multiplier, shift)
    assert str(caught.value) == message
