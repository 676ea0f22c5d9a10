"""`ArrayConfig`: the sizes of one machine, validated on construction, and the named presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from isa.encoding import BY_NAME
from rpa.arch.errors import ConfigError

ACC_BITS_CHOICES = (32, 40, 48)
MOST_INSTRUCTIONS = BY_NAME["jal"].field("offset").maximum + 1
"""As far as a branch reaches."""
SIDE_LIMIT = 32
"""Most rows or columns that the mask registers and `dr.row0` can name."""


def _power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """Sizes of one machine. Every program, emulator and Verilog file is for exactly one of these."""

    rows: int = 16
    """PE rows, 1..32; one A bank each."""
    cols: int = 16
    """PE columns, a power of two, 1..32; one W, P and O bank each."""
    acc_bits: int = 48
    """Accumulator width: 32, 40 or 48 bits."""
    a_depth: int = 4096
    """Words of 16 bits in one A bank, a power of two, 64..32768."""
    w_depth: int = 4096
    """Words of 16 bits in one W bank, a power of two, 64..32768."""
    o_depth: int = 2048
    """Words of 16 bits in one O bank, a power of two, 64..32768."""
    p_entries: int = 64
    """Requantization entries in one P bank, a power of two, 4..1024."""
    ctx_slots: int = 16
    """Context words of one PE: 16, 32 or 64."""
    imem_words: int = 4096
    """Instruction memory, a power of two, 64..MOST_INSTRUCTIONS words of 32 bits."""
    queue_depth: int = 8
    """Entries in each engine's queue: 2, 4, 8 or 16."""
    bus_words: int = 8
    """Words of 16 bits that external memory moves in a cycle: 1, 2, 4, 8, 16 or 32."""
    mem_latency: int = 16
    """Cycles from a read request to its data, 1..255."""
    mem_bytes: int = 1 << 24
    """External memory in bytes, a power of two, 1024..2**31."""
    nv_macros: int = 0
    """NOR-flash macros, 0..64; 0: the machine has no `nv` engine, and the other `nv_` sizes mean nothing."""
    nv_rows: int = 128
    """Word lines of one macro, 8..1024."""
    nv_cols: int = 128
    """Bit lines of one macro, 8..1024, a multiple of `cols` and of 4 * `nv_adc_share`."""
    nv_cell_bits: int = 4
    """Bits in one cell, 1..4."""
    nv_dac_bits: int = 1
    """Bits that a word line carries in one operation, 1..4; 1: bit-serial."""
    nv_adc_bits: int = 8
    """Bits of one conversion, 1..16."""
    nv_adc_share: int = 8
    """Bit lines that share one converter, 1..256."""
    nv_settle: int = 1
    """Cycles from the start of an operation to its first conversion, 1..255."""
    nv_adc_cycles: int = 9
    """Cycles of one conversion, 1..1023 (successive approximation: bits + 1)."""
    nv_prog_cycles: int = 1000
    """Cycles that programming one row takes after its words are there, 1..65535."""
    x_depth: int = 4096
    """Words of 16 bits in the X bank, the input of the macros, a power of two, 64..32768."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int:
                raise ConfigError(f"`{field.name}` is {value!r} ({type(value).__name__}), must be an integer")
        self._range("rows", 1, SIDE_LIMIT)
        self._range("cols", 1, SIDE_LIMIT, power=True)
        self._choice("acc_bits", ACC_BITS_CHOICES)
        for name in ("a_depth", "w_depth", "o_depth"):
            self._range(name, 64, 1 << 15, power=True)
        self._range("p_entries", 4, 1024, power=True)
        self._choice("ctx_slots", (16, 32, 64))
        self._range("imem_words", 64, MOST_INSTRUCTIONS, power=True)
        self._choice("queue_depth", (2, 4, 8, 16))
        self._choice("bus_words", (1, 2, 4, 8, 16, 32))
        self._range("mem_latency", 1, 255)
        self._range("mem_bytes", 1024, 1 << 31, power=True)
        self._check_macros()

    def _check_macros(self) -> None:
        for name, low, high in (("nv_macros", 0, 64), ("nv_rows", 8, 1024), ("nv_cols", 8, 1024), ("nv_cell_bits", 1, 4), ("nv_dac_bits", 1, 4),
                                ("nv_adc_bits", 1, 16), ("nv_adc_share", 1, 256), ("nv_settle", 1, 255), ("nv_adc_cycles", 1, 1023),
                                ("nv_prog_cycles", 1, 65535)):
            self._range(name, low, high)
        self._range("x_depth", 64, 1 << 15, power=True)
        if self.nv_macros and self.nv_cols % self.cols:
            raise ConfigError(f"`nv_cols` is {self.nv_cols}, must be a multiple of `cols`, which is {self.cols}")
        if self.nv_macros and self.nv_cols % (4 * self.nv_adc_share):
            raise ConfigError(f"`nv_cols` is {self.nv_cols}, must be a multiple of 4 * `nv_adc_share`, which is {4 * self.nv_adc_share}")

    def _range(self, name: str, low: int, high: int, *, power: bool = False) -> None:
        value = getattr(self, name)
        if not low <= value <= high or (power and not _power_of_two(value)):
            kind = "a power of two, " if power else ""
            raise ConfigError(f"`{name}` is {value}, must be {kind}{low}..{high}")

    def _choice(self, name: str, choices: tuple[int, ...]) -> None:
        value = getattr(self, name)
        if value not in choices:
            raise ConfigError(f"`{name}` is {value}, must be one of {', '.join(map(str, choices))}")

    @property
    def pes(self) -> int:
        return self.rows * self.cols

    @property
    def nv_engine(self) -> int:
        """1 where the machine has the `nv` engine, else 0."""
        return int(self.nv_macros > 0)

    @property
    def nv_adcs(self) -> int:
        """Converters of one macro; converter k takes the bit lines that are k modulo their number."""
        return self.nv_cols // self.nv_adc_share

    @classmethod
    def preset(cls, name: str) -> ArrayConfig:
        """Return a named configuration; see :data:`PRESETS`. Raises ConfigError for an unknown name."""
        if name not in PRESETS:
            raise ConfigError(f"no preset `{name}`; there are {', '.join(PRESETS)}")
        return PRESETS[name]

    def to_dict(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, int]) -> ArrayConfig:
        """Build from a mapping; raises ConfigError for unknown keys and bad values."""
        known = {field.name for field in fields(cls)}
        for key in values:
            if key not in known:
                raise ConfigError(f"unknown configuration key `{key}`; there are {', '.join(sorted(known))}")
        return cls(**values)


_DEFAULT = ArrayConfig()
PRESETS = {
    "tiny": replace(_DEFAULT, rows=2, cols=2, a_depth=1024, w_depth=1024, o_depth=512, p_entries=16, imem_words=2048,
                    queue_depth=4, bus_words=2, mem_latency=4, mem_bytes=1 << 18,
                    nv_macros=2, nv_rows=8, nv_cols=16, nv_cell_bits=2, nv_adc_bits=4, nv_adc_share=4, nv_adc_cycles=5, nv_prog_cycles=6, x_depth=64),
    "small": replace(_DEFAULT, rows=4, cols=4, a_depth=2048, w_depth=2048, o_depth=1024, p_entries=32,
                     imem_words=2048, bus_words=4, mem_latency=8, mem_bytes=1 << 20,
                     nv_macros=3, nv_rows=32, nv_cols=32, nv_dac_bits=2, nv_adc_bits=6, nv_adc_share=4, nv_settle=2, nv_adc_cycles=7,
                     nv_prog_cycles=20, x_depth=512),
    "ecp5": replace(_DEFAULT, rows=9, cols=4, acc_bits=40, a_depth=2048, w_depth=2048, o_depth=1024, imem_words=2048, bus_words=4,
                    mem_bytes=1 << 24),
    "default": _DEFAULT,
    "hybrid": replace(_DEFAULT, nv_macros=16),
}
