"""`rpa flash parameters`: what the model of a macro can be told."""

from __future__ import annotations

from dataclasses import asdict

from rpa.cli.options import AsJson
from rpa.report.tables import print_json, print_rows


def parameters(as_json: AsJson = False) -> None:
    """Every parameter of the model with default, range, unit and source, what each error is when it is switched on, and the known cells."""
    from rpa.flash.describe import devices
    from rpa.flash.describe import parameters as described

    rows = [asdict(one) for one in described()]
    if as_json:
        print_json({"parameters": rows, "devices": devices()})
        return
    print_rows([{"of": row["of"], "parameter": row["name"], "default": row["default"], "when on": row["switched_on"], "meaning": row["meaning"]}
                for row in rows])
    print_rows(devices())
