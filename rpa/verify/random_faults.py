"""Deliberate faults: one piece of program per cause of the table, and engine commands without regard to each other."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from isa.table import CONTEXT_RESERVED, COUNTERS, ENGINES, FAULTS, INSTRUCTIONS, LOOP_DEPTH, PE_REGISTERS, REGISTERS, TOKEN_MAX
from rpa.arch.config import ArrayConfig
from rpa.verify.lines import BY_NAME, Label, Line, load_word, op
from rpa.verify.placing import Command, engines_of, every_engine, registers_of
from rpa.verify.random_commands import DEST_CODE, Commands, context_word
from rpa.verify.random_sections import ENGINE, SCRATCH, legal_value, set_register

CAUSES = tuple(row.name for row in FAULTS)


def fault_lines(rng: Random, config: ArrayConfig, commands: Commands, label: Callable[[], int], causes: tuple[str, ...] = CAUSES) -> list[Line]:
    """Return instructions that (nearly always) end in a fault, each of ``causes`` as likely as any other."""
    return getattr(_Faults(rng, config, commands, label), rng.choice(causes).lower())()


def wild_lines(rng: Random, config: ArrayConfig) -> list[Line]:
    """Return commands whose registers are each legal, but nothing more: most of them fault, in every order of checks."""
    lines: list[Line] = []
    dests = [0, 0, 1, 1, *([DEST_CODE["x"]] if config.nv_engine else [])]
    for _ in range(rng.randint(1, 4)):
        engine = rng.choice(engines_of(config))
        for row in (r for r in REGISTERS if r.engine == engine.name):
            if rng.random() < 0.4:
                lines += set_register(row.name, legal_value(rng, row, config))
        name = {"ld": "ld", "ex": "run", "dr": "drain", "st": "st", "nv": rng.choice(("nvmac", "nvprog"))}[engine.name]
        operands = {field.name: rng.choice(dests) if field.name == "dest" else rng.randrange(2) for field in BY_NAME[name].fields}
        lines.append(op(name, None, **{**operands, "wait": 0, "signal": 0}))
    return lines


def _unused(rng: Random, used: set[int]) -> int:
    """An 8-bit number that names nothing: anywhere, or one bit from a number that does."""
    near = [index ^ 1 << bit for index in used for bit in range(8)]
    return rng.choice([number for number in (*near, *range(256), 255) if number not in used])


class _Faults:
    """A method per fault cause, named as the cause."""

    def __init__(self, rng: Random, config: ArrayConfig, commands: Commands, label: Callable[[], int]) -> None:
        self.rng, self.config, self.commands, self.label = rng, config, commands, label

    def _command(self, command, **changes: int) -> list[Line]:
        """The command with some registers changed."""
        lines: list[Line] = [op("reset", engine=ENGINE[command.engine])]
        for name, value in {**command.registers, **{k.replace("_", ".", 1): v for k, v in changes.items()}}.items():
            lines += set_register(name, value)
        return [*lines, op(command.name, None, **command.operands, wait=0, signal=0)]

    def illegal_opcode(self) -> list[Line]:
        rng = self.rng
        known = {row.opcode for row in INSTRUCTIONS}
        no_register = _unused(rng, {row.index for row in REGISTERS})
        row = rng.choice([r for r in INSTRUCTIONS if r.reserved_mask])
        reserved = [bit for bit in range(32) if row.reserved_mask >> bit & 1]
        words = (rng.choice([code for code in range(64) if code not in known]) << 26 | rng.getrandbits(26),
                 row.match | 1 << rng.choice(reserved),
                 BY_NAME["set"].match | BY_NAME["set"].field("reg").insert(no_register),
                 BY_NAME["setr"].match | BY_NAME["setr"].field("reg").insert(no_register),
                 BY_NAME["rdctr"].match | BY_NAME["rdctr"].field("counter").insert(_unused(rng, {row.index for row in COUNTERS})),
                 *self._words_without_meaning(),
                 BY_NAME["ld"].match | BY_NAME["ld"].field("source").insert(3))
        return [op("word", word=rng.choice(words))]

    def _words_without_meaning(self) -> list[int]:
        """Words that name an engine that does not exist, or that this machine does not have."""
        rng, ld = self.rng, BY_NAME["ld"]
        names = ["reset", "sync"]
        words = [BY_NAME[name].match | BY_NAME[name].field("engine").insert(rng.randint(len(ENGINES), 7)) for name in names]
        if self.config.nv_engine:
            return words
        nv = len(ENGINES) - 1
        index = rng.choice([row.index for row in REGISTERS if row.engine == "nv"])
        masks = [row.match | row.field(name).insert(1 << nv) for name in ("wait", "signal") for row in (BY_NAME["st"], BY_NAME["run"])]
        return [*words, *masks, BY_NAME["nvmac"].match, BY_NAME["nvprog"].match, ld.match | ld.field("dest").insert(DEST_CODE["x"]),
                BY_NAME["fence"].match | BY_NAME["fence"].field("engines").insert(1 << nv),
                BY_NAME["set"].match | BY_NAME["set"].field("reg").insert(index),
                *(BY_NAME[name].match | BY_NAME[name].field("engine").insert(nv) for name in names)]

    def illegal_context(self) -> list[Line]:
        rng = self.rng
        reserved = rng.choice([bit for bit in range(32) if CONTEXT_RESERVED >> bit & 1])
        word = rng.choice((context_word(rng) | 1 << reserved, rng.getrandbits(30), 31, 3 << 20))
        slot = rng.choice((0, 63))
        return [*load_word(SCRATCH, word), op("ctxld", slot=slot, rs=SCRATCH, wait=0, signal=0)]

    def illegal_config(self) -> list[Line]:
        rng, config = self.rng, self.config
        if rng.random() < 0.5:
            row = rng.choice([r for r in registers_of(config) if r.bits < 16])
            low, high = row.limits(config)
            return list(set_register(row.name, rng.choice((low - 1, high + 1, -32768, 32767, 1 << 20, -(1 << 31)))))
        command = rng.choice((
            lambda: self._command(self.commands.ld_plain("a"), ld_pack=2),
            lambda: self._command(self.commands.run(), ex_cbits=2, ex_abits=rng.choice((2, 4)), ex_wbits=16),
            lambda: self._command(self.commands.run(), ex_cbits=rng.choice((2, 4, 8)), ex_abits=16, ex_wbits=2),
            lambda: self._command(self.commands.drain(), dr_row0=31, dr_rows=2),
            lambda: self._command(self.commands.drain(), dr_acc0=15, dr_accs=2),
            lambda: [*self._command(self.commands.ld_plain("w"), st_bits=2), op("st", wait=0, signal=0)],
            *([self._contradicting_nv] * 3 if config.nv_engine else [])))
        return command()

    def _contradicting_nv(self) -> list[Line]:
        """A command of NV, or a drain of its accumulators, that its registers do not allow."""
        rng, config, nv = self.rng, self.config, self.commands.nv
        assert nv is not None
        lines = config.nv_cols // config.cols
        changes = rng.choice((
            {"nv_macro": rng.randint(config.nv_macros, 63)}, {"nv_row0": config.nv_rows - 1, "nv_rows": 2}, {"nv_row0": 1, "nv_rows": config.nv_rows},
            {"nv_ebits": 4, "nv_abits": rng.randint(5, 16)}, {"nv_ebits": 16, "nv_rows": 4, "nv_row0": 0, "nv_k0": 1, "nv_k1": 3, "nv_k2": 1},
            {"nv_slices": 16 // config.nv_cell_bits + 1} if config.nv_cell_bits > 1 else {"nv_line0": lines},
            {"nv_line0": lines - 1, "nv_outs": config.cols + 1, "nv_encoding": rng.randrange(3), "nv_slices": 1},
            {"nv_encoding": 2, "nv_slices": min(16, config.cols + 1)}, {"nv_line0": rng.randint(lines, 1023)}))
        if rng.random() < 0.2:
            changes = rng.choice(({"nv_line0": 1, "nv_k0": config.nv_cols // 4}, {"nv_line0": lines}, {"nv_macro": config.nv_macros}))
            return self._command(nv.nvprog(), **changes)
        if rng.random() < 0.15:
            return self._command(self.commands.drain(), dr_nv=1, **rng.choice(({"dr_rows": 2}, {"dr_row0": 1})))
        return self._command(nv.nvmac(), **changes)

    def fetch(self) -> list[Line]:
        target = self.rng.choice((self.config.imem_words, self.config.imem_words - 1, 1 << 20, -1))
        return [*load_word(SCRATCH, target), op("jalr", rd=1, rs=SCRATCH, imm=0)]

    def loop_depth(self) -> list[Line]:
        ends = [self.label() for _ in range(LOOP_DEPTH + 1)]
        lines: list[Line] = [op("loopi", target=end, count=2) for end in ends]
        for end in reversed(ends):
            lines += [op("add", rd=1, rs=1, rt=1), Label(end)]
        return lines

    def mem_range(self) -> list[Line]:
        size = self.config.mem_bytes
        if self.rng.random() < 0.5:
            return self._command(self.commands.ld_plain("a"), ld_addr=self.rng.choice((size - 2, size, (1 << 32) - 2)))
        command = self.commands.st() or self.commands.ld_plain("w")
        return self._command(command, **{f"{command.engine}_addr": self.rng.choice((size - 2, size, (1 << 32) - 2))})

    def misaligned(self) -> list[Line]:
        kind = self.rng.randrange(3)
        if kind == 0:
            return self._command(self.commands.ld_plain("a"), ld_addr=self.commands.map.data + 1)
        if kind == 1 and self.config.bus_words > 1:
            return self._command(self.commands.ld_plain("w"), ld_unit=2, ld_base=1)
        command = self.commands.st() or self.commands.ld_plain("a")
        return self._command(command, **{f"{command.engine}_addr": self.commands.map.data + 1})

    def bank_range(self) -> list[Line]:
        rng, config = self.rng, self.config
        return rng.choice((
            lambda: self._command(self.commands.ld_plain("a"), ld_base=config.a_depth - 2),
            lambda: self._command(self.commands.ld_plain("w"), ld_base=rng.choice((config.w_depth, 65535))),
            lambda: self._command(self.commands.run(), ex_abase=config.a_depth - 1, ex_as0=1, ex_n0=8),
            lambda: self._command(self.commands.run(), ex_wbase=config.w_depth, ex_wen=1),
            lambda: self._command(self.commands.drain(), dr_base=config.o_depth - 1, dr_pitch=1, dr_rows=1, dr_accs=4, dr_acc0=0, dr_raw=1),
            lambda: self._command(self.commands.drain(), dr_param=config.p_entries),
            lambda: self._command(self.commands.st() or self.commands.run(), st_base=config.o_depth),
            *([self._outside_x] * 3 if config.nv_engine else [])))()

    def _outside_x(self) -> list[Line]:
        rng, depth, nv = self.rng, self.config.x_depth, self.commands.nv
        assert nv is not None
        return rng.choice((
            lambda: self._command(self.commands.ld_plain("x"), ld_base=depth - 2),
            lambda: self._command(nv.nvmac(), nv_xbase=rng.choice((depth, 65535))),
            lambda: self._command(nv.nvmac(), nv_xbase=depth - 2, nv_n0=5, nv_xv0=1),
            lambda: self._command(nv.nvprog(), nv_xbase=depth - 1, nv_rows=2, nv_row0=0, nv_xv0=rng.choice((1, 2)))))()

    def rq_shift(self) -> list[Line]:
        """Shift 0 from a constant into the P banks."""
        entries = self.config.p_entries
        lines = self._command(Command("ld", "ld", {"dest": DEST_CODE["p"], "source": 1}, {
            "ld.rows": entries, "ld.units": 8, "ld.pitch": 8, "ld.dstep": 1, "ld.wlen": entries, "ld.fill": self.rng.choice((0, 63, 127, 20))}))
        return [*lines, op("fence", engines=1), *self._command(self.commands.drain(), dr_raw=0)]

    def acc_conflict(self) -> list[Line]:
        run, drain = self.commands.run(), self.commands.drain()
        if self.commands.nv is not None and self.rng.random() < 0.4:
            nvmac = self.commands.nv.nvmac()
            return self._command(nvmac) + self._command(
                Command("dr", "drain", {"bank": nvmac.bank or 0}, drain.registers), dr_nv=1, dr_row0=0, dr_rows=1, dr_acc0=0, dr_accs=16, dr_lanes=8,
                dr_bits=2, dr_base=0, dr_pacc=0, dr_plane=0, dr_raw=0)
        drain = Command("dr", "drain", drain.operands, {**drain.registers, "dr.nv": 0})
        lines = self._command(run, ex_n0=self.rng.randint(20, 60), ex_as0=0, ex_ws0=0)
        return lines + self._command(Command("dr", "drain", {"bank": run.bank or 0}, drain.registers))

    def token_overflow(self) -> list[Line]:
        """More tokens than a counter holds, while the takers may start something else or wait for another engine."""
        rng, end = self.rng, self.label()
        count, everything = len(engines_of(self.config)), every_engine(self.config)
        giver, mask = rng.randrange(count), rng.randint(1, everything)
        waiting = [taker for taker in range(count) if taker != giver and rng.random() < 0.3]
        free = [engine for engine in range(count) if engine not in waiting]     # a full queue of one that waits would stop the core
        others = [op("sync", engine=rng.choice(free), wait=0, signal=0) for _ in range(rng.randint(0, 3))]
        waits = [op("sync", engine=taker, wait=rng.randint(1, everything) | 1 << (giver + 1) % count, signal=0) for taker in waiting]
        return [*waits, op("loopi", target=end, count=TOKEN_MAX + 3), op("sync", engine=giver, wait=0, signal=mask), *others,
                op("add", rd=1, rs=1, rt=1), Label(end)]

    def deadlock(self) -> list[Line]:
        rng, count, everything = self.rng, len(engines_of(self.config)), every_engine(self.config)
        lines: list[Line] = [op("sync", engine=rng.randrange(count), wait=rng.randint(1, everything), signal=0) for _ in range(rng.randint(1, 3))]
        tails: tuple[list[Line], ...] = ([], [op("fence", engines=rng.randint(1, everything))], [op("halt")])
        return lines + rng.choice(tails)

    def cycle_limit(self) -> list[Line]:
        start, engine = self.label(), self.rng.choice(engines_of(self.config)).code
        return [Label(start), op("add", rd=1, rs=1, rt=1), *([op("sync", engine=engine, wait=0, signal=0)] * self.rng.randint(0, 1)),
                op("jal", target=start, rd=self.rng.choice((0, PE_REGISTERS)))]

