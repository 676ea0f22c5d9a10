"""Random engine commands that the machine can carry out: registers chosen together so that no visit leaves a bank or the memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from isa.table import ACC_INDEX_COUNT, CONTEXT_FIELDS, DESTS, DIMS, PARAM_WORDS, PE_CONDS, PE_DESTS, PE_OPS, PE_ROUTES, PE_SOURCES, ROUNDINGS, WIDTHS
from rpa.arch.config import ArrayConfig
from rpa.verify.placing import Command, place
from rpa.verify.random_nv import NvCommands

DEST_CODE = {row.name: row.code for row in DESTS}
ROUND_CODE = {row.name: row.code for row in ROUNDINGS}
CONTEXT = {row.name: row for row in CONTEXT_FIELDS}
ALL_LANES = 63
ADDRESS_SPACE = 1 << 16
MAC_SHARE, MACL_SHARE = 0.38, 0.1
"""Shares of contexts that multiply and accumulate."""
FILLED = 64
"""Words of every bank that hold data from the start."""


@dataclass(frozen=True)
class MemoryMap:
    """Where random programs find what: requantization entries, then data that may be read and written."""

    entries: int
    """Entries with shifts 1..62, followed by as many with 31..62 (good for gemmlowp)."""

    @property
    def data(self) -> int:
        return 2 * self.entries * PARAM_WORDS * 2


def pow2s(limit: int) -> list[int]:
    return [1 << k for k in range(limit.bit_length()) if 1 << k <= limit]


def plain_product(rng: Random) -> int:
    """Return the context word of `mac a, w` or `macl a, w`."""
    name = rng.choice(("mac", "mac", "macl"))
    values = {"op": next(r.code for r in PE_OPS if r.name == name), "y": next(r.code for r in PE_SOURCES if r.name == "w")}
    return sum(CONTEXT[field].insert(value) for field, value in values.items())


def context_word(rng: Random) -> int:
    """Return a random legal context word."""
    (name,) = rng.choices(("mac", "macl", None), (MAC_SHARE, MACL_SHARE, 1 - MAC_SHARE - MACL_SHARE))
    row = rng.choice([r for r in PE_OPS if name in (None, r.name)])
    dests = PE_DESTS if row.writes == "result" else [r for r in PE_DESTS if r.name == "none"]
    sources = [r.code for r in PE_SOURCES]
    bus_first = rng.random() < 0.6
    values = {
        "op": row.code,
        "x": sources[0] if bus_first else rng.choice(sources),
        "y": sources[1] if bus_first else rng.choice(sources),
        "dst": rng.choice(dests).code,
        "route": rng.choice(PE_ROUTES).code,
        "cond": rng.choice(PE_CONDS).code if rng.random() < 0.3 else 0,
        "imm": rng.randint(CONTEXT["imm"].minimum, CONTEXT["imm"].maximum),
    }
    return sum(CONTEXT[name].insert(value) for name, value in values.items())


class Commands:
    """Source of random commands for one machine."""

    def __init__(self, rng: Random, config: ArrayConfig) -> None:
        self.rng, self.config = rng, config
        self.map = MemoryMap(config.p_entries // 2)
        self.nv = NvCommands(rng, config) if config.nv_engine else None
        self.banks = {"a": (config.rows, config.a_depth), "w": (config.cols, config.w_depth)}
        if config.nv_engine:
            self.banks["x"] = (1, config.x_depth)

    # -- LD --------------------------------------------------------------------------------------------------------

    def ld(self) -> Command:
        """A load into A, W or X banks from memory, a constant or the O banks, or of parameters into P banks."""
        rng = self.rng
        if rng.random() < 0.12:
            return self.ld_params()
        for _ in range(50):
            command = self._try_ld(rng.choice((*self.banks,)), rng.choices(("mem", "fill", "o"), (6, 1, 3))[0])
            if command is not None:
                return command
        return self.ld_plain("a")

    def ld_plain(self, dest: str) -> Command:
        """Fill a piece of every bank from memory, one row."""
        units = self.rng.randint(4, 16)
        return Command("ld", "ld", {"dest": DEST_CODE[dest], "source": 0},
                       {"ld.addr": self.map.data, "ld.units": units, "ld.sstep": 2, "ld.dstep": 1})

    def ld_operands(self, dest: str) -> Command:
        """Fill the start of every bank from memory, each with data of its own."""
        banks, unit = self.banks[dest][0], self.config.bus_words
        addr = self.map.data + 2 * unit * self.rng.randint(0, 500)
        return Command("ld", "ld", {"dest": DEST_CODE[dest], "source": 0}, {
            "ld.addr": addr, "ld.rows": banks, "ld.units": FILLED // unit, "ld.unit": unit, "ld.sstride": 2 * FILLED, "ld.sstep": 2 * unit,
            "ld.dstep": unit, "ld.wstep": 1, "ld.wlen": 1})

    def ld_params(self, *, first: bool = False, half: int | None = None) -> Command:
        """Parameter entries into one half of the P banks (the upper half holds shifts that gemmlowp takes)."""
        rng, entries = self.rng, self.map.entries
        half = rng.randint(0, 1) if half is None else half
        unit = rng.choice(pow2s(min(self.config.bus_words, PARAM_WORDS)))
        rows = entries if first else rng.randint(1, entries)
        source = 0 if first else rng.randint(0, entries - rows)
        source += entries * (half if first else max(half, rng.randint(0, 1)))
        target = half * entries + (0 if first else rng.randint(0, entries - rows))
        group = 0 if first else rng.randint(0, 2)
        return Command("ld", "ld", {"dest": DEST_CODE["p"], "source": 0}, {
            "ld.addr": source * PARAM_WORDS * 2, "ld.rows": rows, "ld.units": PARAM_WORDS // unit, "ld.unit": unit,
            "ld.sstride": PARAM_WORDS * 2, "ld.sstep": 2 * unit, "ld.base": target * PARAM_WORDS, "ld.pitch": PARAM_WORDS, "ld.dstep": unit,
            "ld.wlen": rows, "ld.group": group, "ld.sel": ALL_LANES if first else rng.choice((ALL_LANES, 0, 1))})

    def _try_ld(self, dest: str, source: str) -> Command | None:
        rng, config = self.rng, self.config
        banks, depth = self.banks[dest]
        pack = rng.choice(WIDTHS)
        units_of = [u for u in pow2s(min(config.bus_words, config.cols) if source == "o" else config.bus_words) if u * pack >= 16]
        if not units_of:
            return None
        unit = rng.choice(units_of)
        words = unit * pack // 16
        rows, units = rng.randint(1, 7), rng.randint(1, 6)
        regs = {"ld.rows": rows, "ld.units": units, "ld.unit": unit, "ld.pack": pack,
                "ld.dstep": words * rng.choice((1, 1, 1, 0, 2, -1, 3)), "ld.group": rng.randint(0, 3), "ld.sel": ALL_LANES}
        regs["ld.pitch"] = words * rng.choice((units, units, 0, 1, -units, rng.randint(-9, 9)))
        self._window(regs, words)
        base = self._ld_base(regs, banks, depth, words)
        if base is None:
            return None
        regs["ld.base"] = base
        if source == "mem":
            regs |= self._ld_memory(rows, units, unit)
        elif source == "fill":
            regs["ld.fill"] = rng.randint(-(1 << 15), (1 << 16) - 1)
        else:
            extra = self._ld_o(rows, units, unit)
            if extra is None:
                return None
            regs |= extra
        return Command("ld", "ld", {"dest": DEST_CODE[dest], "source": ("mem", "fill", "o").index(source)}, regs)

    def _window(self, regs: dict[str, int], words: int) -> None:
        """Choose which rows go to which bank: all to all, or a sliding window with halo."""
        rng, rows = self.rng, regs["ld.rows"]
        if rng.random() < 0.35:
            regs["ld.wlen"] = rows + rng.randint(0, 3)
        else:
            step = rng.randint(0, 3)
            regs |= {"ld.wstep": step, "ld.wlen": rng.randint(1, rows + 2), "ld.j0": rng.randint(-2, 3),
                     "ld.bstep": rng.choice((step * regs["ld.pitch"], step * regs["ld.pitch"], 0, words * rng.randint(-4, 4)))}
        if rng.random() < 0.4:
            regs["ld.sel"] = rng.randint(0, (1 << regs["ld.group"]) - 1)

    def _ld_base(self, regs: dict[str, int], banks: int, depth: int, words: int) -> int | None:
        """Return a base that keeps every written word of every bank inside it."""
        taken = [0]
        for b in range(banks):
            q, lane = b >> regs["ld.group"], b % (1 << regs["ld.group"])
            if regs["ld.sel"] not in (ALL_LANES, lane):
                continue
            for jj in range(regs["ld.rows"]):
                if 0 <= jj + regs.get("ld.j0", 0) - q * regs.get("ld.wstep", 0) < regs["ld.wlen"]:
                    start = jj * regs["ld.pitch"] - q * regs.get("ld.bstep", 0)
                    taken += (start, start + (regs["ld.units"] - 1) * regs["ld.dstep"])
        return place(self.rng, min(taken), max(taken) + words - 1, depth, words)

    def _ld_memory(self, rows: int, units: int, unit: int) -> dict[str, int]:
        rng, size = self.rng, 2 * unit
        step = size * rng.choice((1, 1, 1, 0, 2, -1))
        stride = size * rng.choice((units, units, 0, 1, -units, rng.randint(-20, 20)))
        corners = [0, (rows - 1) * stride, (units - 1) * step, (rows - 1) * stride + (units - 1) * step]
        room = self.config.mem_bytes - self.map.data
        base = place(rng, min(corners), max(corners) + size - 1, room, size)
        assert base is not None, "a few kilobytes always fit"
        return {"ld.addr": self.map.data + base, "ld.sstep": step, "ld.sstride": stride}

    def _ld_o(self, rows: int, units: int, unit: int) -> dict[str, int] | None:
        rng, config = self.rng, self.config
        widths = [b for b in WIDTHS if config.cols * b >= 16]
        if not widths:
            return None
        pitch = rng.randint(-3, 6)
        base = place(rng, min(0, (rows - 1) * pitch), max(0, (rows - 1) * pitch) + (units - 1) * unit // config.cols, config.o_depth, 1)
        if base is None:
            return None
        return {"ld.obits": rng.choice(widths), "ld.obase": base % 40 if pitch >= 0 and rng.random() < 0.6 else base, "ld.opitch": pitch}

    # -- EX --------------------------------------------------------------------------------------------------------

    def run(self) -> Command:
        """A run of up to about a hundred steps with any widths, streams, feeders, slots and reductions."""
        rng, config = self.rng, self.config
        while True:
            ns = [rng.choice((1, 1, 1, 2, 2, 3, 4, 5, rng.randint(1, 20))) for _ in range(DIMS)]
            if math.prod(ns) <= rng.choice((8, 30, 100, 100)):
                break
        abits, wbits = rng.choice(WIDTHS), rng.choice(WIDTHS)
        regs = {f"ex.n{d}": n for d, n in enumerate(ns)}
        regs |= {"ex.abits": abits, "ex.wbits": wbits, "ex.cbits": rng.choice([b for b in WIDTHS if b >= max(abits, wbits)]),
                 "ex.asigned": rng.randint(0, 1), "ex.wsigned": rng.randint(0, 1), "ex.aslice": rng.randint(0, 7), "ex.wslice": rng.randint(0, 7),
                 "ex.cbase": rng.choice((0, rng.randrange(ACC_INDEX_COUNT))), "ex.sbase": rng.choice((0, 0, 1, 2, 3, rng.randrange(64))),
                 "ex.red": rng.choice((0, 1, 3, 63, rng.randrange(64))), "ex.keep": int(rng.random() < 0.2)}
        regs |= {f"ex.cs{d}": rng.choice((0, 0, 1, 1, -1, rng.randint(-16, 15))) for d in range(DIMS) if ns[d] > 1}
        if rng.random() < 0.5:
            regs |= {f"ex.ss{d}": rng.choice((0, 1, 1, -1, rng.randint(-64, 63))) for d in range(DIMS) if ns[d] > 1}
        for stream, depth in (("a", config.a_depth), ("w", config.w_depth)):
            self._stream(regs, ns, stream, depth)
        if rng.random() < 0.3:
            regs |= {"ex.rows": rng.randint(1, config.rows + 1), "ex.cols": rng.randint(1, config.cols + 1)}
        return Command("ex", "run", {"bank": rng.randint(0, 1)}, regs)

    def run_all(self, bank: int) -> Command:
        """Four products into every accumulator of a bank with slot 0, from what :meth:`ld_operands` filled."""
        abits, wbits = self.rng.choice((2, 4, *WIDTHS)), self.rng.choice((2, 4, *WIDTHS))
        return Command("ex", "run", {"bank": bank}, {
            "ex.n0": FILLED // ACC_INDEX_COUNT, "ex.n1": ACC_INDEX_COUNT, "ex.as0": 1, "ex.as1": FILLED // ACC_INDEX_COUNT, "ex.ws0": 1,
            "ex.ws1": self.rng.randint(0, 3), "ex.cs1": 1, "ex.red": 1, "ex.abits": abits, "ex.wbits": wbits, "ex.cbits": max(abits, wbits),
            "ex.asigned": self.rng.randint(0, 1), "ex.wsigned": self.rng.randint(0, 1)})

    def _stream(self, regs: dict[str, int], ns: list[int], stream: str, depth: int) -> None:
        """Choose addresses and feeder reuse of the A or W stream."""
        rng = self.rng
        if rng.random() < 0.08:
            regs[f"ex.{stream}en"] = 0
            return
        scale = rng.choice((1, 1, 4, 30))
        steps = [rng.choice((0, 1, 1, 2, -1, rng.randint(-scale, scale))) if n > 1 else 0 for n in ns]
        spans = [(n - 1) * step for n, step in zip(ns, steps, strict=True)]
        base = place(rng, sum(min(0, s) for s in spans), sum(max(0, s) for s in spans), depth, 1)
        if base is None:
            steps, base = [0] * DIMS, 0
        regs |= {f"ex.{stream}s{d}": step for d, step in enumerate(steps) if step}
        regs[f"ex.{stream}base"] = base % 64 if rng.random() < 0.5 and all(s >= 0 for s in spans) and sum(spans) < depth - 64 else base
        if rng.random() < 0.5:
            regs |= {f"ex.{stream}u0": rng.randrange(8), f"ex.{stream}u1": rng.randrange(8)}
            regs[f"ex.{stream}slide"] = rng.choice((0, 1, 2, rng.randint(0, 8)))
            regs[f"ex.{stream}hold"] = rng.choice((0, 0, 0, 2, 1 << rng.randrange(DIMS), rng.randrange(64)))

    # -- DR, ST ----------------------------------------------------------------------------------------------------

    def drain(self, bank: int | None = None) -> Command:
        """A drain with any rounding, lanes, width, or raw; of PEs or, where the machine has them, of the NV accumulators."""
        rng, config = self.rng, self.config
        row0, acc0 = rng.randrange(config.rows), rng.choice((0, 0, rng.randrange(ACC_INDEX_COUNT)))
        nv = int(self.nv is not None and rng.random() < 0.35)
        row0 = 0 if nv else row0
        rows, accs = 1 if nv else rng.randint(1, config.rows - row0), rng.randint(1, min(6, ACC_INDEX_COUNT - acc0))
        lanes, bits, raw = rng.choice((1, 1, 2, 4, 8)), rng.choice(WIDTHS), int(rng.random() < 0.2)
        words = accs * 2 if raw else math.ceil(accs * lanes * bits / 16)
        pitch = rng.choice((words, words, 0, -words, rng.randint(-8, 8)))
        base = place(rng, min(0, (rows - 1) * pitch), max(0, (rows - 1) * pitch) + words - 1, config.o_depth, 1)
        assert base is not None, "at most 32 rows of at most 24 words"
        if pitch >= 0 and rng.random() < 0.6:
            base %= 40
        low, high = sorted((rng.randint(-(1 << 16), (1 << 16) - 1), rng.randint(-(1 << 16), (1 << 16) - 1)))
        regs = {"dr.row0": row0, "dr.rows": rows, "dr.acc0": acc0, "dr.accs": accs, "dr.lanes": lanes, "dr.base": base, "dr.pitch": pitch,
                "dr.bits": bits, "dr.raw": raw, "dr.nv": nv, "dr.pre": rng.choice((0, 0, 1, 4, 10, 14, 18, rng.randrange(32))),
                "dr.zp": rng.choice((0, 0, 3, -128, rng.randint(-(1 << 16), (1 << 16) - 1))),
                "dr.round": rng.choice((*ROUND_CODE.values(), ROUND_CODE["half_even"]))}
        if rng.random() < 0.5:
            regs |= {"dr.lo": low, "dr.hi": high}
        self._params(regs, accs, 1 if raw else lanes)
        return Command("dr", "drain", {"bank": rng.randint(0, 1) if bank is None else bank}, regs)

    def _params(self, regs: dict[str, int], accs: int, lanes: int) -> None:
        """Choose parameter entries inside the P banks, of the half that the rounding mode can use."""
        rng, entries = self.rng, self.config.p_entries
        first = entries // 2 if regs["dr.round"] == ROUND_CODE["gemmlowp"] else 0
        pacc, plane = rng.choice((0, 1, 1, 2)), rng.choice((0, 0, 1, 3))
        span = (accs - 1) * pacc + (lanes - 1) * plane
        if first + span >= entries:
            pacc, plane, span = 0, 0, 0
        regs |= {"dr.param": rng.choice((entries - 1 - span, rng.randint(first, entries - 1 - span))), "dr.pacc": pacc, "dr.plane": plane}

    def st(self) -> Command | None:
        """A store with any transposition; None on a machine with too few columns for any width."""
        rng, config = self.rng, self.config
        widths = [b for b in WIDTHS if config.cols * b >= 16]
        if not widths:
            return None
        bits = rng.choice(widths)
        rows, xs, ws = rng.randint(1, 5), rng.randint(1, 6), rng.randint(1, 4)
        xstep, unit = rng.choice([x for x in (1, 2, 4, 8) if x * bits <= 16]), rng.choice(pow2s(min(config.bus_words, config.cols)))
        size, pitch = 2 * unit, rng.randint(-3, 6)
        base = place(rng, min(0, (rows - 1) * pitch), max(0, (rows - 1) * pitch) + (xs - 1) * xstep * bits // 16, config.o_depth, 1)
        strides = [size * rng.choice((1, 0, 2, -1, n, rng.randint(-9, 9))) for n in (ws, ws * xs, 1)]
        spans = [n * s for n, s in zip((xs - 1, rows - 1, ws - 1), strides, strict=True)]
        addr = place(rng, sum(min(0, s) for s in spans), sum(max(0, s) for s in spans) + size - 1, config.mem_bytes - self.map.data, size)
        assert base is not None and addr is not None, "a few words always fit"
        if pitch >= 0 and rng.random() < 0.6:
            base %= 40
        return Command("st", "st", {}, {
            "st.addr": self.map.data + addr, "st.rows": rows, "st.xs": xs, "st.ws": ws, "st.xstep": xstep, "st.unit": unit, "st.base": base,
            "st.pitch": pitch, "st.bits": bits, "st.col0": rng.choice((0, rng.randrange(64))), "st.xstride": strides[0], "st.rstride": strides[1],
            "st.wstride": strides[2]})
