"""`python -m rpa.flash.torch NAME`: hardware-aware training of a network, its results into `rpa/models/weights/`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from isa.errors import RpaError
from rpa.data import load
from rpa.flash.torch.aware import AWARE, train_aware
from rpa.models.registry import WEIGHTS
from rpa.train.qat.recipes import RECIPES


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m rpa.flash.torch", description=__doc__)
    parser.add_argument("name", choices=AWARE, help="which")
    parser.add_argument("--data", type=Path, help="folder of the data set (else RPA_DATA or the cache; `python -m rpa.data fetch NAME`)")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of the results")
    parser.add_argument("--checkpoint", type=Path, help="file that keeps the state after every epoch; a run goes on from it")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    aware = AWARE[options.name]
    try:
        data = load(RECIPES[aware.recipe].training.data, options.data)
        print(train_aware(aware, data, options.out, checkpoint=options.checkpoint, threads=options.threads))
    except RpaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
