"""The back end from nest to program: the machine must issue exactly the nest's commands, with complete registers."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings

import isa
from rpa.arch.config import ArrayConfig
from rpa.compile.check import first_difference
from rpa.compile.commands import Nest
from rpa.compile.emit import emit
from tests.compile.nests import nests

CONFIG = replace(ArrayConfig.preset("tiny"), imem_words=1 << 16, mem_bytes=1 << 31)


def assembled(nest: Nest) -> isa.Program:
    return isa.assemble("\n".join((*emit(nest).lines, "halt", "")), CONFIG)


@given(nests())
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example])
def test_program_issues_what_the_nest_says(nest):
    difference = first_difference(nest, assembled(nest))
    assert difference is None, str(difference)
