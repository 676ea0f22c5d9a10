"""The `ex` engine: `run` as matrix products where every step is a MAC of the two buses, otherwise step by step in a kernel."""

from __future__ import annotations

import numpy as np

from rpa.arch.config import ArrayConfig
from rpa.emu.fast.cache import WeightedCache
from rpa.emu.fast.clock import EX_DEPTH
from rpa.emu.fast.errors import NeedStepping
from rpa.emu.fast.hazards import Access
from rpa.emu.fast.layout import COND, CONTEXT, COUNTER, DST, OP, ROUTE, SRC, Registers
from rpa.emu.fast.lines import wrapped_base
from rpa.emu.fast.product import Product, accumulate, expand, multiply, product_of
from rpa.emu.fast.queues import Command
from rpa.emu.fast.state import State
from rpa.emu.fast.stream import NO_BASES, Operand, Steps, steps_of
from rpa.emu.fast.timeline import Tally

_PLANS: WeightedCache[Steps] = WeightedCache(1 << 23)
_PRODUCTS: WeightedCache[Product] = WeightedCache(1 << 25)
_LARGEST_PRODUCT = 1 << 20
"""Elements of a run beyond which its products would take too much memory; it goes step by step then."""
_NO_IMM = np.uint32(~CONTEXT["imm"].mask & 0xFFFFFFFF)


def _bus_context(op: str) -> int:
    """The context word of `op a, w`, without its immediate."""
    values = {"op": OP[op], "x": SRC["a"], "y": SRC["w"], "dst": DST["none"], "route": ROUTE["hold"], "cond": COND["always"]}
    return sum(CONTEXT[name].insert(value) for name, value in values.items())


def plan_run(r: Registers, ctx_slots: int) -> Steps:
    """Plan of a `run`; kept as long as there is room."""
    key = r._replace(**NO_BASES)
    return _PLANS.get((key, ctx_slots), lambda: steps_of(key, ctx_slots), lambda plan: plan.count)


_TENSOR_WORDS = {_bus_context("mac"): "mac", _bus_context("macl"): "macl"}
_ACC_DESTS = (DST["acc"], DST["acca"])
_MAC_OPS = (OP["mac"], OP["macl"])


class Execute:
    """The `ex` engine's datapath."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._kinds: dict[tuple, str] = {}
        self._kinds_version = -1

    def start(self, command: Command, cycle: int, tally: Tally) -> tuple[Access, ...]:
        """Do a `run` or `ctxld`; returns what the command touches."""
        if command.name == "run":
            return self._run(command, cycle, tally)
        if command.name == "ctxld":
            self._load_context(command)
        return ()

    def _load_context(self, command: Command) -> None:
        state, r = self.state, command.registers
        state.contexts[command.operand][selected(r.rmask, r.cmask, state.config)] = command.value
        state.slot_is_mac[command.operand] = CONTEXT["op"].extract(command.value) in _MAC_OPS
        state.context_version += 1

    def _run(self, command: Command, cycle: int, tally: Tally) -> tuple[Access, ...]:
        config, r = self.state.config, command.registers
        steps = plan_run(r, config.ctx_slots)
        rows, cols = min(r.rows, config.rows), min(r.cols, config.cols)
        abase, wbase = _base(steps.a, r.abase, config.a_depth, "A"), _base(steps.w, r.wbase, config.w_depth, "W")
        kind = self._kind(steps, r, rows, cols)
        if kind in ("mixed", "silent") or steps.count * steps.lanes > _LARGEST_PRODUCT:
            self._step(steps, command.operand, r, (abase, wbase), (rows, cols))
        else:
            self._multiply(steps, kind, command.operand, r, (abase, wbase), (rows, cols))
        self._count(steps, r.sbase, (rows, cols), cycle, tally)
        return self._accesses(steps, None if kind == "silent" else command.operand, cycle, abase, wbase)

    def _kind(self, steps: Steps, r: Registers, rows: int, cols: int) -> str:
        """`mac` or `macl` if that is what every working PE does in every step; `silent` if none writes an accumulator; else `mixed`."""
        state = self.state
        if self._kinds_version != state.context_version:
            self._kinds.clear()
            self._kinds_version = state.context_version
        key = (steps, r.sbase, rows, cols)
        kind = self._kinds.get(key)
        if kind is None:
            slots = [(slot + r.sbase) % state.config.ctx_slots for slot, _ in steps.slots]
            words = [int(word) for word in np.unique(state.contexts[slots, :rows, :cols] & _NO_IMM)]
            kind = _TENSOR_WORDS.get(words[0]) if len(words) == 1 else None
            if kind is None:
                kind = "mixed" if any(map(_writes_acc, words)) else "silent"
            self._kinds[key] = kind
        return kind

    def _multiply(self, steps: Steps, kind: str, bank: int, r: Registers, bases: tuple[int, int], size: tuple[int, int]) -> None:
        state, by_lane = self.state, kind == "macl" and steps.lanes > 1
        product = _PRODUCTS.get((steps.registers, by_lane), lambda: product_of(steps, by_lane), lambda _: 2 * steps.count * steps.lanes)
        a = _elements(state.a, steps.a, bases[0], size[0], r.abits, r.asigned)
        w = _elements(state.w, steps.w, bases[1], size[1], r.wbits, r.wsigned)
        accumulate(state.acc[bank][:, :size[0], :size[1]], product, multiply(product, a, w), r.cbase, state.config.acc_bits)

    def _step(self, steps: Steps, bank: int, r: Registers, bases: tuple[int, int], size: tuple[int, int]) -> None:
        from rpa.emu.fast import pe  # compiled on its first use

        state, slots = self.state, self.state.config.ctx_slots
        used = (np.array([slot for slot, _ in steps.slots]) + r.sbase) % slots
        number = np.zeros(slots, dtype=np.int64)
        number[[slot for slot, _ in steps.slots]] = np.arange(used.size)
        streams = [np.ascontiguousarray(np.stack((np.where(operand.filled, operand.address + base, -1), operand.piece), axis=1))
                   for operand, base in zip((steps.a, steps.w), bases, strict=True)]
        pe.run_steps(state.a, state.w, *streams, (steps.acc + r.cbase) % state.acc.shape[1], number[steps.slot], steps.first,
                     pe.decode_contexts(state.contexts[used], r.cbits), state.acc[bank], state.pe_registers, state.flags, state.out,
                     size, (r.abits, r.wbits), (r.cbits, r.asigned, r.wsigned, state.config.acc_bits))

    def _count(self, steps: Steps, sbase: int, size: tuple[int, int], cycle: int, tally: Tally) -> None:
        config, first = self.state.config, cycle + 1
        for side, operand, banks in (("a", steps.a, size[0]), ("w", steps.w, size[1])):
            for what, count, where in (("reads", operand.read_count, operand.reads), ("hits", operand.hit_count, operand.hits)):
                tally.add(COUNTER[f"{side}_{what}"], first, steps.count, count * banks, where * banks if tally.keep else where)
        tally.add(COUNTER["mac_slots"], first, steps.count, config.pes * steps.lanes)
        is_mac, slots = self.state.slot_is_mac, config.ctx_slots
        each = size[0] * size[1] * steps.lanes
        useful = sum(count for slot, count in steps.slots if is_mac[(slot + sbase) % slots])
        shares = is_mac[(steps.slot + sbase) % slots] * each if tally.keep else steps.first
        tally.add(COUNTER["macs"], first, steps.count, useful * each, shares)

    def _accesses(self, steps: Steps, bank: int | None, cycle: int, abase: int, wbase: int) -> tuple[Access, ...]:
        end = cycle + steps.count
        accesses = [] if bank is None else [Access(f"acc{bank}", True, cycle + 1 + EX_DEPTH, end + EX_DEPTH)]
        for store, operand, base in (("a", steps.a, abase), ("w", steps.w, wbase)):
            if operand.used:
                accesses.append(Access(store, False, cycle + 1, end, base + operand.low, base + operand.high, _reader(operand, base)))
        return tuple(accesses)


def _writes_acc(word: int) -> bool:
    return CONTEXT["op"].extract(word) in _MAC_OPS or CONTEXT["dst"].extract(word) in _ACC_DESTS


def selected(rmask: int, cmask: int, config: ArrayConfig) -> tuple[np.ndarray, np.ndarray]:
    """Index of the PEs that `ctxld` writes."""
    return np.ix_(rmask >> np.arange(config.rows) & 1 != 0, cmask >> np.arange(config.cols) & 1 != 0)


def _reader(operand: Operand, base: int):
    return lambda: operand.addresses + base


def _base(operand: Operand, base: int, depth: int, name: str) -> int:
    if not operand.used:
        return 0
    found = wrapped_base(base, operand.low, operand.high, depth)
    if found is None:
        raise NeedStepping(f"a run reads outside the {name} banks")
    return found


def _elements(bank: np.ndarray, operand: Operand, base: int, banks: int, bits: int, signed: int) -> np.ndarray:
    """Elements of every word from the lowest to the highest that the run reads."""
    words = bank[base + operand.low:base + operand.high + 1, :banks] if operand.used else bank[:0, :banks]
    return expand(np.ascontiguousarray(words), bits, bool(signed))
