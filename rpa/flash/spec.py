"""What a NOR-flash macro is: sizes, converters, wires, the kind of cell, and which errors it has.

Everything is frozen, keyword-only and checked on construction; variants by `dataclasses.replace`. An error is off by the word "ideal", never by 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Literal

from rpa.arch.config import ArrayConfig
from rpa.flash import check
from rpa.flash.check import IDEAL, Ideal
from rpa.flash.device import Device, preset
from rpa.flash.errors import FlashError
from rpa.flash.parts import Nonlinearity, Programming, ReadNoise, Shot, Telegraph

READ_VOLT = 0.1
"""Drain voltage of a read where no wires say it: 1.6 uA are then 16 uS. No source."""
CLASSES = {"programming": "programming", "read_noise": "read_noise", "stuck_off": "stuck_off", "stuck_on": "stuck_on", "leakage": "leakage",
           "nonlinearity": "nonlinearity", "ir_drop": "ir_drop", "telegraph": "telegraph", "drift": "drift_days",
           "temperature": "temperature_kelvin", "shot": "shot"}
"""Name of an error class -> field of Errors."""


@dataclass(frozen=True, kw_only=True)
class Dac:
    """The drivers of the word lines: one digit of an activation in each operation."""

    bits: int = 1
    """Bits of a digit, 1..4; 1: bit-serial."""
    inl_lsb: float | Ideal = IDEAL
    """Bow of the transfer curve at mid-scale in steps of a digit, -2..2, the same in all drivers; none with 1 bit. No source."""
    dnl_lsb: float | Ideal = IDEAL
    """Standard deviation of one step's width in steps, 0..2, each step of each driver; the ends stay: none with 1 bit. No source."""
    gain_error: float | Ideal = IDEAL
    """Standard deviation of a driver's gain, part of 1, 0..1, one draw per word line. No source."""

    def __post_init__(self) -> None:
        check.integer("Dac", "bits", self.bits, 1, 4)
        check.ideal_or_number("Dac", "inl_lsb", self.inl_lsb, -2, 2, "LSB")
        check.ideal_or_number("Dac", "dnl_lsb", self.dnl_lsb, 0, 2, "LSB")
        check.ideal_or_number("Dac", "gain_error", self.gain_error, 0, 1)

    @property
    def top(self) -> int:
        """The largest digit."""
        return (1 << self.bits) - 1


@dataclass(frozen=True, kw_only=True)
class Adc:
    """The converters of the bit lines: b bits are exactly 2^b codes, 0..2^b - 1, each one step wide around its sum."""

    bits: int | Ideal = 8
    """Resolution, 1..16; "ideal": as many codes as an operation's limit allows."""
    kind: Literal["sar", "ramp"] = "sar"
    """Successive approximation (the bits' weights have errors, worst at mid-scale) or a ramp (every step has its own)."""
    share: int = 8
    """Bit lines that share a converter: converter k takes the bit lines that are k modulo the number of converters."""
    inl_lsb: float | Ideal = IDEAL
    """Bow of the transfer curve at mid-scale in LSB, -64..64, the same in all converters. No source."""
    dnl_lsb: float | Ideal = IDEAL
    """Standard deviation in LSB, 0..64, of the width of a step (ramp) or of the worst step (sar), each converter its own. No source."""
    offset_lsb: float | Ideal = IDEAL
    """Standard deviation of a converter's offset in LSB, 0..64, one draw per converter. No source."""
    gain_error: float | Ideal = IDEAL
    """Standard deviation of a converter's gain, part of 1, 0..1, one draw per converter. No source."""
    sparsity_aware: bool = True
    """Whether a conversion starts at the highest bit that can be set, and is left out where no word line is driven (lossless; counts and energy)."""

    def __post_init__(self) -> None:
        if isinstance(self.bits, str):
            check.ideal_or_number("Adc", "bits", self.bits, 1, 16)
        else:
            check.integer("Adc", "bits", self.bits, 1, 16)
        check.choice("Adc", "kind", self.kind, ("sar", "ramp"))
        check.integer("Adc", "share", self.share, 1, 1024)
        check.ideal_or_number("Adc", "inl_lsb", self.inl_lsb, -64, 64, "LSB")
        for name in ("dnl_lsb", "offset_lsb"):
            check.ideal_or_number("Adc", name, getattr(self, name), 0, 64, "LSB")
        check.ideal_or_number("Adc", "gain_error", self.gain_error, 0, 1)
        if not isinstance(self.sparsity_aware, bool):
            raise FlashError(f"Adc: `sparsity_aware` is {self.sparsity_aware!r}, must be True or False")
        if self.bits == IDEAL and not self.is_ideal:
            raise FlashError('Adc: `bits` is "ideal" and a converter error is not: errors are in steps of a resolution, give `bits`')

    @property
    def code_bits(self) -> int:
        """Bits of the largest code: 31, which no sum exceeds, where the resolution is ideal."""
        return 31 if isinstance(self.bits, str) else self.bits

    @property
    def is_ideal(self) -> bool:
        """Whether every step is where it should be."""
        return all(each == IDEAL for each in (self.inl_lsb, self.dnl_lsb, self.offset_lsb, self.gain_error))


@dataclass(frozen=True, kw_only=True)
class Wires:
    """The wires of the array and how inputs come in."""

    bit_line_ohm: float = 0.68
    """Ohm of a bit line per cell, 0..1000, above 0: 65 nm, 1.19 ohm/um at a pitch of 0.57 um."""
    word_line_ohm: float = 0.68
    """Ohm of a word line per cell (drive "drain": the line that feeds the cells), the same source."""
    drive: Literal["gate", "drain"] = "gate"
    """Where inputs come in: at the gates (only bit lines carry current), or at the drains (both do; cells are linear resistors)."""
    read_volt: float = READ_VOLT
    """Volt across a cell when it is read, 0..10, above 0. No source."""
    activity: float = 0.5
    """Mean input, 0..1 of full drive, that the cheap factor expects of the other word lines. It depends on the data; no source."""

    def __post_init__(self) -> None:
        check.number("Wires", "bit_line_ohm", self.bit_line_ohm, 0, 1000, "ohm", above=True)
        check.number("Wires", "word_line_ohm", self.word_line_ohm, 0, 1000, "ohm", above=True)
        check.choice("Wires", "drive", self.drive, ("gate", "drain"))
        check.number("Wires", "read_volt", self.read_volt, 0, 10, "V", above=True)
        check.number("Wires", "activity", self.activity, 0, 1)


@dataclass(frozen=True, kw_only=True)
class Errors:
    """The error classes of cells and array, each off by the word "ideal"; those of converters are in Dac and Adc. Default: all off."""

    programming: Programming | Ideal = IDEAL
    """Each cell misses its current once per programming, by the device's law."""
    read_noise: ReadNoise | Ideal = IDEAL
    """Each read of each cell is noisy, by the device's law."""
    stuck_off: float | Ideal = IDEAL
    """Probability that a cell carries the smallest current whatever it is told, 0..1. 0.01 in `all()`, no source."""
    stuck_on: float | Ideal = IDEAL
    """Probability that a cell carries the full current whatever it is told, 0..1; together with stuck_off at most 1. 0.01 in `all()`, no source."""
    leakage: Literal["ideal", "device"] = IDEAL
    """"device": a cell of code 0 carries the device's smallest current, and codes lie between it and the full one; "ideal": nothing."""
    nonlinearity: Nonlinearity | Ideal = IDEAL
    """Current over gate voltage (with digits of several bits) and over drain voltage."""
    ir_drop: Literal["ideal", "factor", "exact"] = IDEAL
    """Voltage lost on wires: by the cheap factor, which is static, or exactly."""
    telegraph: Telegraph | Ideal = IDEAL
    """Random telegraph noise: thresholds that jump between two levels."""
    drift_days: float | Ideal = IDEAL
    """Age of cells when they are read, in days, 0..36500, by the device's law; it adds to the spread of programming. 5 in `all()`."""
    temperature_kelvin: float | Ideal = IDEAL
    """Temperature at which cells are read, 200..500 kelvin; 300 is where the device's currents are given. 323 in `all()`."""
    shot: Shot | Ideal = IDEAL
    """Shot noise of the current."""

    def __post_init__(self) -> None:
        for name, kind in (("programming", Programming), ("read_noise", ReadNoise), ("nonlinearity", Nonlinearity), ("telegraph", Telegraph),
                           ("shot", Shot)):
            check.instance("Errors", name, getattr(self, name), kind)
        for name in ("stuck_off", "stuck_on"):
            check.ideal_or_number("Errors", name, getattr(self, name), 0, 1)
        stuck = sum(each for each in (self.stuck_off, self.stuck_on) if not isinstance(each, str))
        if stuck > 1:
            raise FlashError(f"Errors: `stuck_off` and `stuck_on` are together {stuck:g}, must be at most 1")
        check.choice("Errors", "leakage", self.leakage, (IDEAL, "device"))
        check.choice("Errors", "ir_drop", self.ir_drop, (IDEAL, "factor", "exact"))
        check.ideal_or_number("Errors", "drift_days", self.drift_days, 0, 36500, "days")
        check.ideal_or_number("Errors", "temperature_kelvin", self.temperature_kelvin, 200, 500, "K")

    @classmethod
    def ideal(cls) -> Errors:
        """No errors."""
        return cls()

    @classmethod
    def all(cls) -> Errors:
        """Every class, with its defaults."""
        return cls(programming=Programming(), read_noise=ReadNoise(), stuck_off=0.01, stuck_on=0.01, leakage="device", nonlinearity=Nonlinearity(),
                   ir_drop="factor", telegraph=Telegraph(), drift_days=5.0, temperature_kelvin=323.0, shot=Shot())

    def only(self, *names: str) -> Errors:
        """These classes as they are here, all others off."""
        return replace(Errors(), **{_field(name): getattr(self, _field(name)) for name in names})

    def without(self, *names: str) -> Errors:
        """These classes off, all others as they are here."""
        return replace(self, **{_field(name): IDEAL for name in names})

    @property
    def active(self) -> tuple[str, ...]:
        """Names of the classes that are on."""
        return tuple(name for name, attribute in CLASSES.items() if getattr(self, attribute) != IDEAL)


def _field(name: str) -> str:
    if name in CLASSES:
        return CLASSES[name]
    if name in CLASSES.values():
        return name
    raise FlashError(f"no error class `{name}`; there are {', '.join(CLASSES)}")


@dataclass(frozen=True, kw_only=True)
class MacroSpec:
    """One kind of macro."""

    rows: int = 128
    """Word lines, 1..1024."""
    cols: int = 128
    """Bit lines, 1..1024."""
    cell_bits: int = 4
    """Bits of a cell, 1..4."""
    dac: Dac = Dac()
    adc: Adc = Adc()
    device: Device = field(default_factory=lambda: preset("sonos40"))
    errors: Errors = Errors()
    wires: Wires | Ideal = Wires()
    """"ideal": no resistance."""
    name: str = ""

    def __post_init__(self) -> None:
        for name, high in (("rows", 1024), ("cols", 1024), ("cell_bits", 4)):
            check.integer("MacroSpec", name, getattr(self, name), 1, high)
        for name, kind in (("dac", Dac), ("adc", Adc), ("device", Device), ("errors", Errors)):
            check.instance("MacroSpec", name, getattr(self, name), kind, or_ideal=False)
        check.instance("MacroSpec", "wires", self.wires, Wires)
        if not isinstance(self.errors.drift_days, str):
            self.device.check_age("MacroSpec: `errors.drift_days`", self.errors.drift_days)
        if self.errors.ir_drop != IDEAL and isinstance(self.wires, str):
            raise FlashError(f'MacroSpec: `errors.ir_drop` is "{self.errors.ir_drop}" and `wires` are "ideal": give wires or switch the error off')
        if self.ladder and self.dac.bits > 1 and self.errors.nonlinearity != IDEAL:
            raise FlashError(f'MacroSpec: `errors.ir_drop` is "exact" in a gate-driven array with digits of {self.dac.bits} bits and nonlinear '
                             'cells; the ladder scales cells by digits: take "factor", 1 bit, or linear cells')

    @property
    def ladder(self) -> bool:
        """Whether currents of a bit line depend on all digits at once: exact IR drop of a gate-driven array."""
        return self.errors.ir_drop == "exact" and not isinstance(self.wires, str) and self.wires.drive == "gate"

    @property
    def top(self) -> int:
        """The largest code of a cell."""
        return (1 << self.cell_bits) - 1

    @property
    def read_volt(self) -> float:
        """Volt across a cell when it is read."""
        return READ_VOLT if isinstance(self.wires, str) else self.wires.read_volt

    @property
    def min_amp(self) -> float:
        """Current of the code 0: 0 where leakage is ideal."""
        return 0.0 if self.errors.leakage == IDEAL else self.device.min_amp

    @property
    def step_amp(self) -> float:
        """Current from one code to the next, at full drive."""
        return (self.device.max_amp - self.min_amp) / self.top

    @property
    def compression(self) -> float:
        """c of the sense circuits' I / (1 + c*I), in 1 / (digit 1 times cell code 1); 0 where nothing is nonlinear."""
        law = self.errors.nonlinearity
        return 0.0 if isinstance(law, str) else law.compression_per_amp * self.step_amp / self.dac.top

    @classmethod
    def preset(cls, name: str) -> MacroSpec:
        """A macro by name, 128 x 128 x 4 bit: "ideal", or a device with programming and read noise. FlashError for another name."""
        if name == IDEAL:
            return cls(name=name, wires=IDEAL)
        return cls(name=name, device=preset(name), errors=Errors.all().only("programming", "read_noise"))


def spec_named(name: str, errors: str | None = None) -> MacroSpec:
    """A macro as users name it: a preset, or the file of a device's table, NAME.csv (:mod:`rpa.flash.device_csv`), with programming and read noise.

    errors: "all", or names of CLASSES with commas between them, with the defaults of `Errors.all()`; None: those of the preset. FlashError for
    other names, and for tables that are not what they must be.
    """
    spec = MacroSpec.preset(name) if not name.endswith(".csv") else MacroSpec(
        name=name, device=Device.from_csv(name), errors=Errors.all().only("programming", "read_noise"))
    if errors is None:
        return spec
    chosen = Errors.all() if errors == "all" else Errors.all().only(*(each.strip() for each in errors.split(",")))
    return replace(spec, errors=chosen, wires=Wires() if chosen.ir_drop != IDEAL else spec.wires)


def for_config(config: ArrayConfig, spec: MacroSpec) -> MacroSpec:
    """`spec` with the sizes of a machine's macros; their resolution too, unless it is "ideal"."""
    bits = spec.adc.bits if spec.adc.bits == IDEAL else config.nv_adc_bits
    return replace(spec, rows=config.nv_rows, cols=config.nv_cols, cell_bits=config.nv_cell_bits, dac=replace(spec.dac, bits=config.nv_dac_bits),
                   adc=replace(spec.adc, bits=bits, share=config.nv_adc_share))


def field_names(kind: type) -> tuple[str, ...]:
    """Names of a spec's parameters, in order."""
    return tuple(each.name for each in fields(kind))
