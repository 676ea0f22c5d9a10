"""`python -m rpa.train NETWORK`: train a network with its fixed settings and keep weights and record in `rpa/models/weights/`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from isa.errors import RpaError
from rpa.data import load
from rpa.train.settings import SETTINGS

WEIGHTS = Path(__file__).resolve().parents[1] / "models" / "weights"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m rpa.train", description=__doc__)
    parser.add_argument("network", choices=list(SETTINGS))
    parser.add_argument("--epochs", type=int, help="other than the settings say; the record says so")
    parser.add_argument("--data", type=Path, help="folder of the data set (else RPA_DATA or the cache; `python -m rpa.data fetch NAME`)")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of the results")
    parser.add_argument("--checkpoint", type=Path, help="file that keeps the state after every epoch; a run goes on from it")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    try:
        _train(options)
    except RpaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"error: this needs `{error.name}`, which is not installed\nhint: pip install 'rpa-toolchain[net,train]'", file=sys.stderr)
        return 1
    return 0


def _train(options: argparse.Namespace) -> None:
    settings = SETTINGS[options.network]
    if options.epochs is not None:
        settings = dataclasses.replace(settings, epochs=options.epochs)
    data = load(settings.data, options.data)
    from rpa.train.run import train_network

    print(train_network(settings, data, options.out, checkpoint=options.checkpoint, threads=options.threads))


if __name__ == "__main__":
    sys.exit(main())
