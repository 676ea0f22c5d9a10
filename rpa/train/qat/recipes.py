"""The quantized networks that come with this package: widths and training, every number that decides the result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from rpa.train.qat.network import Widths
from rpa.train.settings import SETTINGS, Settings


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One quantization-aware training: it starts from the float weights that come with this package."""

    widths: Widths
    training: Settings
    calibration: int = 512
    """Training images that the first scales are found on."""

    @property
    def name(self) -> str:
        """As in `lenet5_w4a3`."""
        return f"{self.training.network}_{self.widths.label}"

    def as_dict(self) -> dict[str, object]:
        """For the record beside the weights."""
        return asdict(self)


LENET = replace(SETTINGS["lenet5"], epochs=5, peak_rate=0.01)
RESNET = replace(SETTINGS["resnet8"], epochs=7, cycle=0, cool_down=0, peak_rate=0.003, warm_up=0.1)
RECIPES = {recipe.name: recipe for recipe in (
    Recipe(widths=Widths(weights=4, activations=3, input=3), training=LENET),
    Recipe(widths=Widths(weights=4, activations=4, input=4), training=LENET),
    Recipe(widths=Widths(weights=2, activations=2, input=2), training=LENET),
    Recipe(widths=Widths(weights=4, activations=4), training=RESNET),
    Recipe(widths=Widths(weights=4, activations=4, input=4, asymmetric=True), training=replace(RESNET, epochs=4)),
)}
