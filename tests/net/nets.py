"""Integer networks for tests, and what they compute by plain loops on Python integers."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import numpy as np

from rpa.net.integer import Feature, IntNet, Mac, Term, output_size

ROUND = {"half_even": round, "half_up": lambda value: floor(value + Fraction(1, 2)), "floor": floor}


def feature(name, shape, bits=8, signed=True, low=None, high=None, zero_point=0):
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return Feature(name=name, shape=shape, bits=bits, signed=signed, low=least if low is None else low, high=most if high is None else high,
                   zero_point=zero_point)


def draw(rng, a_feature, count=None):
    shape = a_feature.shape if count is None else (count, *a_feature.shape)
    return rng.integers(a_feature.low, a_feature.high + 1, shape)


def out_shape(shape, term):
    m, r, s, _ = term.weight.shape
    top, left, bottom, right = term.pads
    return (output_size(shape[0], r, term.stride[0], top, bottom, term.dilation[0]),
            output_size(shape[1], s, term.stride[1], left, right, term.dilation[1]), m)


def one_mac(source, term, *, multiplier, shift, bias=0, bits=8, signed=True, pre=0, zero_point=0, rounding="half_even", low=None, high=None):
    """A network of one `Mac` with one term."""
    shape = out_shape(source.shape, term)
    spread = [np.broadcast_to(np.asarray(values, np.int64), shape[2:]).copy() for values in (bias, multiplier, shift)]
    mac = Mac(name="mac", terms=(term,), bias=spread[0], multiplier=spread[1], shift=spread[2], output="y", pre=pre, rounding=rounding)
    out = feature("y", shape, bits, signed, low, high, zero_point)
    return IntNet(name="one", features={source.name: source, "y": out}, inputs=(source.name,), outputs=("y",), nodes=(mac,))


def loops_term(x, term, zero_point):
    """Sum of products by seven loops; x is (H, W, C) of Python integers, the result nested lists as an object array."""
    height, width, channels = out_shape(x.shape, term)
    _, rows, columns, depth = term.weight.shape
    result = np.zeros((height, width, channels), object)
    for y in range(height):
        for z in range(width):
            for m in range(channels):
                group = m // (channels // term.groups)
                for r in range(rows):
                    for s in range(columns):
                        i, j = y * term.stride[0] + r * term.dilation[0] - term.pads[0], z * term.stride[1] + s * term.dilation[1] - term.pads[1]
                        inside = 0 <= i < x.shape[0] and 0 <= j < x.shape[1]
                        for c in range(depth):
                            value = int(x[i, j, group * depth + c]) if inside else zero_point
                            result[y, z, m] += value * int(term.weight[m, r, s, c])
    return result


def loops_requantize(acc, bias, multiplier, shift, zero_point, low, high, rounding, pre=0):
    """One accumulator, in rationals."""
    total = (int(acc) + int(bias) + 2**47) % 2**48 - 2**47
    value = floor(Fraction(total, 2**pre) + Fraction(1, 2)) if pre else total
    value = min(max(value, -2**31), 2**31 - 1)
    return min(max(ROUND[rounding](Fraction(value * int(multiplier), 2**int(shift))) + zero_point, low), high)


def loops_mac(net, node, inputs):
    """A `Mac` by loops, for inputs (H, W, C) by name."""
    out = net.features[node.output]
    total = sum(loops_term(inputs[term.input], term, net.features[term.input].zero_point) for term in node.terms)
    result = np.zeros(out.shape, np.int64)
    for index in np.ndindex(*out.shape):
        m = index[2]
        result[index] = loops_requantize(total[index], node.bias[m], node.multiplier[m], node.shift[m], out.zero_point, out.low, out.high,
                                         node.rounding, node.pre)
    return result


def windows(x, kernel, stride, pads):
    """(y, x, the values of each channel inside the image) of every window."""
    height = output_size(x.shape[0], kernel[0], stride[0], pads[0], pads[2])
    width = output_size(x.shape[1], kernel[1], stride[1], pads[1], pads[3])
    for y in range(height):
        for z in range(width):
            rows = range(max(0, y * stride[0] - pads[0]), min(x.shape[0], y * stride[0] - pads[0] + kernel[0]))
            columns = range(max(0, z * stride[1] - pads[1]), min(x.shape[1], z * stride[1] - pads[1] + kernel[1]))
            yield y, z, [x[i, j] for i in rows for j in columns]


def random_term(rng, source, *, m=4, kernel=(3, 3), stride=(1, 1), pads=(0, 0, 0, 0), dilation=(1, 1), groups=1, bits=8, signed=True):
    least, most = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    weight = rng.integers(least, most, (m, *kernel, source.shape[2] // groups))
    return Term(input=source.name, weight=weight, weight_bits=bits, weight_signed=signed, stride=stride, pads=pads, dilation=dilation, groups=groups)


def size_for(ratio):
    """(multiplier, shift) of a power of two 2^-ratio."""
    return 1 << 30, 30 + ceil(ratio)
