"""What a training run is made of: every number that decides its result."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from isa.errors import RpaError


class TrainingError(RpaError):
    """A training run that cannot start or go on."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run. The learning rate is one cycle: it rises from peak/25 in a straight line and falls as a cosine to 0.

    A longer ``cycle`` than ``epochs`` is cut short: in the last ``cool_down`` epochs the rate falls in a straight line from where the cycle is to 0.
    """

    network: str
    data: str
    epochs: int
    batch: int = 128
    peak_rate: float = 0.1
    warm_up: float = 0.2
    """Share of the cycle in which the learning rate rises."""
    cycle: int = 0
    """Epochs of the whole cycle; 0 for as many as there are."""
    cool_down: int = 0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    """Of weights; biases and batch-norm parameters have none."""
    shift: int = 0
    """Each training image moves by up to this many pixels, up or down and left or right; what comes in is `offset`."""
    flip: bool = False
    """Half of the training images are mirrored."""
    bfloat16: bool = False
    """Convolutions and products in bfloat16; parameters and batch norm stay float32. Testing is always float32."""
    offset: int = 0
    scale: float = 1 / 256
    """The network's input is (pixel - offset) * scale."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise TrainingError(f"epochs and batch must be at least 1, not {self.epochs} and {self.batch}")
        if not 0 <= self.cool_down <= self.epochs:
            raise TrainingError(f"cool_down is {self.cool_down} epochs, must be 0..{self.epochs}, the epochs that there are")

    def as_dict(self) -> dict[str, object]:
        """For the record beside the weights."""
        return asdict(self)


SETTINGS = {
    "lenet5": Settings(network="lenet5", data="mnist", epochs=15, batch=64, peak_rate=0.05, shift=2),
    "resnet8": Settings(network="resnet8", data="cifar10", epochs=41, cycle=60, cool_down=16, peak_rate=0.15, weight_decay=2e-4, shift=4, flip=True,
                        bfloat16=True, offset=128, scale=1 / 128),
}
