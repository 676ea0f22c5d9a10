"""Options that several commands share, and what they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rpa.arch.config import PRESETS, ArrayConfig
from rpa.cli.files import read_toml

if TYPE_CHECKING:
    import numpy as np

    from isa.program import Program

DEFAULT_PRESET = "default"


def known_preset(name: str | None) -> str | None:
    """Refuse, as bad usage, a preset that does not exist."""
    if name is not None and name not in PRESETS:
        raise typer.BadParameter(f"`{name}`; there are {', '.join(PRESETS)}")
    return name


Preset = Annotated[str | None, typer.Option(metavar="NAME", help=f"The machine: {', '.join(PRESETS)} (`{DEFAULT_PRESET}` if nothing is said).",
                                            callback=known_preset)]
ConfigFile = Annotated[str | None, typer.Option("--config", metavar="FILE.toml", help="The machine: keys of `ArrayConfig`; `preset` names the base.")]
Defines = Annotated[list[str] | None, typer.Option("-D", metavar="NAME=VALUE", help="Give a `.default` constant of the source a value.")]
Inputs = Annotated[list[str] | None, typer.Option("--input", metavar="[NAME=]FILE.npy", help="An input of the program; NAME may be left out if "
                                                                                              "there is one only.")]
Calibration = Annotated[str | None, typer.Option(metavar="FILE.npy", help="Typical images, real numbers (N, C, H, W), that scales are chosen from; "
                                                                          "by default of the network's data set.")]
Method = Annotated[str, typer.Option(help="How activations are clipped: kl, mse, percentile or minmax.")]
Requantize = Annotated[bool, typer.Option("--requantize", help="Of a model with integers of its own take weights and ranges alone, and quantize "
                                                                "them again.")]
Shortcuts = Annotated[str, typer.Option(help="Convolutions added to another one: joint, separate or auto.")]
Effort = Annotated[bool, typer.Option("--effort/--no-effort", help="Try mappings of neighbouring layers together, which takes seconds.")]
MaxCycles = Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop with the fault CYCLE_LIMIT after so many cycles.")]
Seed = Annotated[int | None, typer.Option(min=0, metavar="N", help="Fill the inputs that are not given with seeded random values.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")]


def one_format(as_json: bool, as_csv: bool) -> None:
    """Refuse two output formats at once."""
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")


def machine(preset: str | None, config: str | None) -> ArrayConfig | None:
    """Return the machine that the options name, None if they name none.

    A configuration file holds keys of `ArrayConfig`; those it leaves out come from its `preset`, or else from the default.
    """
    if preset is not None and config is not None:
        raise typer.BadParameter("--preset and --config exclude each other")
    if config is None:
        return None if preset is None else ArrayConfig.preset(preset)
    values = read_toml(config)
    base = ArrayConfig.preset(str(values.pop("preset", DEFAULT_PRESET)))
    return ArrayConfig.from_dict({**base.to_dict(), **values})


def pairs(items: list[str] | None, option: str) -> dict[str, str]:
    """Split `NAME=VALUE` items; raises BadParameter for one without a name or value, or a name given twice."""
    result: dict[str, str] = {}
    for item in items or ():
        name, equals, value = item.partition("=")
        if not (name and equals and value):
            raise typer.BadParameter(f"`{item}`, must be NAME=VALUE", param_hint=option)
        if name in result:
            raise typer.BadParameter(f"`{name}` is given twice", param_hint=option)
        result[name] = value
    return result


def defines(items: list[str] | None) -> dict[str, int]:
    """Return the constants given with -D; values are integers as in the assembler (10, 0x10, 0b10, 1_000)."""
    result = {}
    for name, value in pairs(items, "-D").items():
        try:
            result[name] = int(value, 0)
        except ValueError:
            raise typer.BadParameter(f"`{value}` for `{name}`, must be an integer", param_hint="-D") from None
    return result


def named(items: list[str] | None, option: str, names: list[str]) -> dict[str, str]:
    """`pairs`, where NAME= may be left out if there is one name only, and a single item is given."""
    if len(items or ()) == 1 and items is not None and "=" not in items[0] and items[0]:
        if len(names) == 1:
            return {names[0]: items[0]}
        raise typer.BadParameter(f"`{items[0]}`, must be NAME=VALUE; the program has {', '.join(names) or 'none'}", param_hint=option)
    return pairs(items, option)


def arrays(items: list[str] | None, program: Program) -> dict[str, np.ndarray]:
    """Read the arrays given with --input for a program."""
    from rpa.cli.files import read_array

    return {name: read_array(file) for name, file in named(items, "--input", [tensor.name for tensor in program.inputs()]).items()}
