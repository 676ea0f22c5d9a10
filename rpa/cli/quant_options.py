"""`--quant NAME=VALUE`: the quantizer's choices beside widths, as several commands take them."""

from __future__ import annotations

from typing import Annotated

import typer

from rpa.cli.options import pairs

OF_THE_MACHINE = "acc_bits"
_TRUTH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}

Quant = Annotated[list[str] | None, typer.Option(
    "--quant", metavar="NAME=VALUE",
    help="A choice of the quantizer: asymmetric, asymmetric_weights, per_channel, power_of_two, bias_correction (yes or no), weight_rounding "
         "(nearest, stochastic, compensated), rounding (half_even, ..., stochastic), percentile, seed. May be given several times.")]


def quantizer_choices(items: list[str] | None, **more: object) -> dict[str, object]:
    """Fields of `rpa.quant.options.Options` with values of their types. more: those that have options of their own.

    Raises BadParameter for an item that is no NAME=VALUE, QuantError for a name or value that does not exist.
    """
    from rpa.quant.options import Options

    given = {name.replace("-", "_"): value for name, value in pairs(items, "--quant").items()}
    for name in (*more, OF_THE_MACHINE):
        if name in given:
            where = "is a size of the machine (--config)" if name == OF_THE_MACHINE else f"has an option of its own, --{name}"
            raise typer.BadParameter(f"`{name}` {where}", param_hint="--quant")
    defaults = {name: field.default for name, field in Options.__dataclass_fields__.items()}
    choices = {**more, **{name: _value(name, text, defaults.get(name)) for name, text in given.items()}}
    Options.of(choices)
    return choices


def _value(name: str, text: str, like: object) -> object:
    """`text` as a value of the type of `like`."""
    try:
        if isinstance(like, bool):
            return _TRUTH[text.lower()]
        return type(like)(text) if isinstance(like, int | float) else text
    except (KeyError, ValueError):
        what = "yes or no" if isinstance(like, bool) else "a number" if isinstance(like, float) else "a whole number"
        raise typer.BadParameter(f"{name} is `{text}`, must be {what}", param_hint="--quant") from None
