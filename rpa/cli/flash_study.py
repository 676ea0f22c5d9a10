"""`rpa flash study`: published results, rerun with our own networks and data."""

from __future__ import annotations

from typing import Annotated

import typer

from isa.errors import did_you_mean
from rpa.cli.files import write_bytes
from rpa.cli.options import AsCsv, AsJson, one_format
from rpa.report.tables import print_json, print_rows


def study(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="sweep, sparsity, resnet, lenet or wires; without it the list.")] = None,
    images: Annotated[int | None, typer.Option(min=1, metavar="N", help="Test images.")] = None,
    chips: Annotated[int | None, typer.Option(min=1, metavar="N", help="Chips, that is seeds, over which accuracy is a mean.")] = None,
    macro: Annotated[str | None, typer.Option(metavar="NAME", help="sonos40, nor55, nor65 or ideal.")] = None,
    days: Annotated[float | None, typer.Option(min=0, metavar="N", help="Age of the cells, in days.")] = None,
    adc_bits: Annotated[int | None, typer.Option("--adc-bits", min=1, max=16, metavar="N", help="Bits of a converter.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, metavar="N", help="Of the first chip.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="LIST", help="sweep: bits of weights, as 2,4,8.")] = None,
    activations: Annotated[str | None, typer.Option(metavar="LIST", help="sweep: bits of activations.")] = None,
    plot: Annotated[str | None, typer.Option(metavar="FILE.png", help="A picture of the table.")] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Rerun a published result and say whether our figures bear it out."""
    one_format(as_json, as_csv)
    from rpa.flash.study.catalogue import STUDIES

    if name is None:
        print_rows([{"study": one.name, "published": one.claim} for one in STUDIES.values()], as_json=as_json, as_csv=as_csv)
        return
    if name not in STUDIES:
        raise typer.BadParameter(f"`{name}`; {did_you_mean(name, tuple(STUDIES)) or 'there are ' + ', '.join(STUDIES)}", param_hint="NAME")
    given = {"images": images, "chips": chips, "macro": macro, "days": days, "adc_bits": adc_bits, "seed": seed,
             "weights": _bits(weights, "--weights"), "activations": _bits(activations, "--activations")}
    options = {key: value for key, value in given.items() if value is not None}
    wrong = [key for key in options if key not in STUDIES[name].options]
    if wrong:
        has = [_option(key) for key in given if key in STUDIES[name].options]
        raise typer.BadParameter(f"the study {name} has no such option; it has {', '.join(has)}", param_hint=", ".join(map(_option, wrong)))
    rows = STUDIES[name].run(**options)
    if plot is not None:
        from rpa.report.flash_study_plot import picture

        write_bytes(plot, picture(name, STUDIES[name].claim, rows))
    if as_json:
        print_json({"study": name, "claim": STUDIES[name].claim, "rows": rows, "verdict": STUDIES[name].verdict(rows)})
        return
    if as_csv:
        print_rows(rows, as_csv=True)
    else:
        print_rows(STUDIES[name].shown(rows), title=STUDIES[name].claim)
        typer.echo("\n".join(STUDIES[name].verdict(rows)))


def _option(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _bits(text: str | None, option: str) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(item) for item in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"`{text}`, must be numbers of bits with commas between", param_hint=option) from None
