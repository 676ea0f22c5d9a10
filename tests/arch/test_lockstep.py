"""The record layout: columns counted by hand for a 2x2 machine, and the first difference of two recordings."""

from dataclasses import replace

import numpy as np
import pytest

from rpa.arch.config import ArrayConfig
from rpa.arch.lockstep import RecordField, RecordLayout, first_difference

LAYOUT = RecordLayout.of(ArrayConfig.preset("tiny"))


def test_columns_of_tiny_counted_by_hand():
    # pc, halted, loop_depth, r1..r15, busy, queue_count, token, ex_valid, abus, wbus, 4 PE fields, dr_valid, lfsr, q, counters, fault
    without = 3 + 15 + 5 + 5 + 25 + 3 + 2 + 2 + 4 * 4 + 5 + 2 + 2 + 47 + 1
    assert RecordLayout.of(replace(ArrayConfig.preset("tiny"), nv_macros=0)).columns == without
    assert LAYOUT.columns == without + 2 + 1        # NV accumulators of two columns, codes


def test_every_column_has_its_own_label():
    labels = [LAYOUT.label(column) for column in range(LAYOUT.columns)]
    assert len(set(labels)) == LAYOUT.columns
    assert labels[3] == "r1"
    assert "token[ld][ex]" in labels and "pe_out[1][0]" in labels and "counter cycles" in labels


def test_fields_wider_than_a_column_are_split():
    layout = RecordLayout((RecordField(name="wide", bits=100, labels=("wide[0]", "wide[1]")), RecordField(name="b", bits=1, labels=("b",))))
    assert layout.columns == 5
    assert [layout.label(column) for column in range(5)] == ["wide[0] word 0", "wide[0] word 1", "wide[1] word 0", "wide[1] word 1", "b"]


def test_unknown_names_and_columns():
    with pytest.raises(KeyError, match="no record field `nope`"):
        LAYOUT.span("nope")
    with pytest.raises(IndexError, match="must be 0\\.\\."):
        LAYOUT.locate(LAYOUT.columns)


def test_first_difference_names_cycle_pc_field_and_both_values():
    mine = np.zeros((3, LAYOUT.columns), np.uint64)
    mine[:, LAYOUT.offsets["pc"]] = (1, 2, 3)
    theirs = mine.copy()
    assert first_difference(LAYOUT, mine, theirs) is None
    theirs[2, LAYOUT.span("abus").start + 1] = 0x55
    theirs[2, -1] = 7
    difference = first_difference(LAYOUT, mine, theirs)
    assert difference.describe() == "cycle 3, pc 0x2: abus[1] is 0x0 in step, 0x55 in rtl"
    assert first_difference(LAYOUT, mine, mine[:2]).describe() == "cycle 3, pc 0x2: step has 3 cycles, rtl has 2"
