"""What the assembler needs to know of the machine: the attributes of `rpa.arch.ArrayConfig`, without importing it."""

from __future__ import annotations

from typing import Protocol


class MachineConfig(Protocol):
    """Sizes of one machine; `rpa.arch.config.ArrayConfig` is one. Attributes may be read-only."""

    @property
    def rows(self) -> int: ...
    @property
    def cols(self) -> int: ...
    @property
    def acc_bits(self) -> int: ...
    @property
    def a_depth(self) -> int: ...
    @property
    def w_depth(self) -> int: ...
    @property
    def o_depth(self) -> int: ...
    @property
    def p_entries(self) -> int: ...
    @property
    def ctx_slots(self) -> int: ...
    @property
    def imem_words(self) -> int: ...
    @property
    def queue_depth(self) -> int: ...
    @property
    def bus_words(self) -> int: ...
    @property
    def mem_latency(self) -> int: ...
    @property
    def mem_bytes(self) -> int: ...


CONFIG_FIELDS = ("rows", "cols", "acc_bits", "a_depth", "w_depth", "o_depth", "p_entries", "ctx_slots", "imem_words",
                 "queue_depth", "bus_words", "mem_latency", "mem_bytes")
"""The attributes, in the order of the program file."""
PREDEFINED = ("rows", "cols", "acc_bits", "a_depth", "w_depth", "o_depth", "p_entries", "ctx_slots", "bus_words", "mem_bytes",
              "mem_latency")
"""Attributes that a program can name, in capitals."""


def config_dict(config: MachineConfig) -> dict[str, int]:
    """Return the sizes as a plain dictionary in the order of :data:`CONFIG_FIELDS`."""
    return {name: getattr(config, name) for name in CONFIG_FIELDS}
