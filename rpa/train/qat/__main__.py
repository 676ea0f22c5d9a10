"""`python -m rpa.train.qat RECIPE`: quantization-aware training of a network, its results into `rpa/models/weights/`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from isa.errors import RpaError
from rpa.data import load
from rpa.train.__main__ import WEIGHTS


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m rpa.train.qat", description=__doc__)
    parser.add_argument("recipe", help="such as lenet5_w4a3; an unknown name prints them all")
    parser.add_argument("--epochs", type=int, help="other than the recipe says; the record says so")
    parser.add_argument("--data", type=Path, help="folder of the data set (else RPA_DATA or the cache; `python -m rpa.data fetch NAME`)")
    parser.add_argument("--weights", default="trained", help="float weights to start from (.safetensors), else those that come with this package")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of the results")
    parser.add_argument("--checkpoint", type=Path, help="file that keeps the state after every epoch; a run goes on from it")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    try:
        return _train(options)
    except RpaError as error:
        print(f"error: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        print(f"error: this needs `{error.name}`, which is not installed\nhint: pip install 'rpa-toolchain[net,train]'", file=sys.stderr)
    return 1


def _train(options: argparse.Namespace) -> int:
    from rpa.train.qat.recipes import RECIPES
    from rpa.train.qat.run import train_quantized

    if options.recipe not in RECIPES:
        print(f"error: no recipe is called {options.recipe!r}; there are {', '.join(RECIPES)}", file=sys.stderr)
        return 1
    recipe = RECIPES[options.recipe]
    if options.epochs is not None:
        recipe = replace(recipe, training=replace(recipe.training, epochs=options.epochs))
    data = load(recipe.training.data, options.data)
    print(train_quantized(recipe, data, options.out, weights=options.weights, checkpoint=options.checkpoint, threads=options.threads))
    return 0


if __name__ == "__main__":
    sys.exit(main())
