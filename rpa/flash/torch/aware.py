"""Hardware-aware training: quantized networks that come with this package, trained on with the errors of a macro's cells."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from rpa.data import Dataset
from rpa.flash.check import IDEAL
from rpa.flash.mapping import Encoding
from rpa.flash.spec import MacroSpec
from rpa.flash.torch.perturb import Perturb
from rpa.flash.torch.schedule import Progressive
from rpa.models.registry import WEIGHTS
from rpa.train.qat.network import QatNetwork
from rpa.train.qat.recipes import RECIPES
from rpa.train.qat.run import Variant, train_quantized


@dataclass(frozen=True, kw_only=True)
class Aware:
    """One training. It begins with the weights of the recipe's network, and its errors are those of cells after `days`."""

    recipe: str
    epochs: int
    peak_rate: float
    macro: str = "sonos40"
    days: float = 5.0
    stuck: float = 0.0
    """Part of cells that are stuck off, and as many on: what repair leaves of defects."""
    cell_bits: int | None = None
    """Of the macro's cells, where they are to hold fewer bits than the device's can: steps are larger then, and errors smaller beside them."""
    encoding: Encoding = Encoding.DIFFERENTIAL
    schedule: Progressive = field(default_factory=Progressive)
    seed: int = 0

    @property
    def name(self) -> str:
        """As in `lenet5_w4a3_sonos40`."""
        return f"{self.recipe}_{self.macro}"

    @property
    def spec(self) -> MacroSpec:
        """The macro with the errors that training sees."""
        macro = MacroSpec.preset(self.macro)
        errors = replace(macro.errors, drift_days=self.days, stuck_off=self.stuck or IDEAL, stuck_on=self.stuck or IDEAL)
        return replace(macro, errors=errors, cell_bits=self.cell_bits or macro.cell_bits)


AWARE = {one.name: one for one in (
    Aware(recipe="lenet5_w4a3", epochs=3, peak_rate=0.005, stuck=0.002),
    Aware(recipe="resnet8_w4a4", epochs=12, peak_rate=0.004, stuck=0.0005, cell_bits=3, schedule=Progressive(end=0.5)),
)}


def train_aware(aware: Aware, data: Dataset, out: Path, *, start: Path | None = None, checkpoint: Path | None = None, threads: int = 1) -> Path:
    """Train and write model, weights and record as `rpa.train.qat` does; returns the path of the model. start: weights to begin with."""
    recipe = RECIPES[aware.recipe]
    recipe = replace(recipe, training=replace(recipe.training, epochs=aware.epochs, peak_rate=aware.peak_rate, seed=aware.seed))
    source = start or WEIGHTS / f"{aware.recipe}.safetensors"
    network: list[QatNetwork] = []

    def prepare(made: QatNetwork) -> None:
        restore(made, source)
        for number, name in enumerate(made.net.weights):
            layer = made.layer(name)
            if aware.encoding == Encoding.DIFFERENTIAL:
                layer.low = -layer.high  # a pair of cells has no -2^(bits-1) without another pair for it
            layer.errors = Perturb(aware.spec, weight_bits=recipe.widths.weights, encoding=aware.encoding, seed=1000 * aware.seed + number)
        network.append(made)

    notes: dict[str, object] = {"start": source.name, "errors": {**asdict(aware), "encoding": aware.encoding.name.lower()}}
    variant = Variant(aware.name, f"python -m rpa.flash.torch {aware.name}", prepare, lambda done: aware.schedule.set(network[0], done), notes)
    return train_quantized(recipe, data, out, checkpoint=checkpoint, threads=threads, variant=variant)


@torch.no_grad()
def restore(network: QatNetwork, path: Path) -> None:
    """Give a network the weights and steps that a training of the same widths has written."""
    arrays = load_file(path)
    for name in network.net.weights:
        layer = network.layer(name)
        layer.weight.copy_(arrays[f"{name}.weight"])
        layer.bias.copy_(arrays[f"{name}.bias"])
        layer.scale.copy_(arrays[f"{name}.weight_scale"])
    for name in network.plan.points:
        quantizer = network.point(name)
        quantizer.scale.copy_(arrays[f"{name}.scale"].reshape(()))
        quantizer.zero.copy_(arrays[f"{name}.zero_point"].reshape(()).float())
