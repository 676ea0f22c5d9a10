"""Code that fits no instruction memory is scheduled again, each node behind all others: shorter, and it computes the same."""

from __future__ import annotations

import numpy as np
import pytest

from rpa.arch.config import ArrayConfig
from rpa.compile import compiled as module
from rpa.compile.compiled import compile_net
from rpa.compile.errors import CodeTooLong, CompileError
from rpa.net import reference
from tests.compile.integer_nets import Builder


@pytest.fixture
def net() -> Builder:
    """Two bottlenecks with their residuals."""
    builder = Builder((16, 16, 256), 16, signed=False)
    for narrow, source, wide in (("a", "x", "b"), ("c", "b", "y")):
        builder.mac(narrow, [builder.term(source, 64, 1, 16)], bits=16)
        builder.mac(wide, [builder.term(narrow, 256, 1, 16), builder.term(source, 256, 1, 16, groups=256)], bits=16)
    return builder


def test_code_that_is_too_long_is_made_shorter(net, monkeypatch):
    long, link, asked = compile_net(net.net("y"), effort=False), module.link, []

    def refuses_the_first(*arguments):
        asked.append(arguments)
        if len(asked) == 1:
            raise CodeTooLong("too long")
        return link(*arguments)

    monkeypatch.setattr(module, "link", refuses_the_first)
    short = compile_net(net.net("y"), effort=False)
    assert len(short.program.code) < len(long.program.code)
    image = net.image()
    run, expected = short.run({"x": image}), reference.run(short.net, {"x": image})
    assert [name for name, values in run.features.items() if not np.array_equal(values, expected[name])] == []
    assert run.result.cycles == short.report.cycles < 1.05 * long.report.cycles


def test_what_stays_too_long_is_refused(net, monkeypatch):
    monkeypatch.setattr("rpa.compile.link.MOST_INSTRUCTIONS", 512)
    with pytest.raises(CompileError, match="needs more than 512 instructions"):
        compile_net(net.net("y"), ArrayConfig.preset("default"), effort=False)
