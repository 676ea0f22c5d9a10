"""The networks by name, and building one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rpa.models.errors import ModelError
from rpa.models.parameters import Parameters, RandomParameters, StoredParameters, read_safetensors

if TYPE_CHECKING:
    import onnx

WEIGHTS = Path(__file__).parent / "weights"
TRAINED = "trained"


@dataclass(frozen=True, kw_only=True)
class Network:
    """An entry of the registry."""

    name: str
    title: str
    module: str
    """Module with the function `name` that builds it."""
    input_shape: tuple[int, ...]
    """(C, H, W), or (features,)."""
    outputs: int
    offset: int | None = None
    scale: float | None = None
    """The input of a pixel is (pixel - offset) * scale; None where inputs are no images."""

    @property
    def trained(self) -> bool:
        """Whether weights trained on real data come with this package."""
        return (WEIGHTS / f"{self.name}.safetensors").is_file()

    def to_input(self, images: np.ndarray) -> np.ndarray:
        """uint8 (N, H, W, C) -> float32 (N, C, H, W) as the network wants it. Raises ModelError for other images."""
        if self.offset is None or self.scale is None:
            raise ModelError(f"{self.name} takes {self.input_shape[0] if len(self.input_shape) == 1 else self.input_shape} features, not images")
        height, width, channels = (*self.input_shape[1:], self.input_shape[0])
        if images.dtype != np.uint8 or images.shape[1:] != (height, width, channels):
            raise ModelError(f"{self.name}: images are {images.dtype} {images.shape}, must be uint8 (N, {height}, {width}, {channels})")
        return np.ascontiguousarray((images.astype(np.float32) - np.float32(self.offset)).transpose(0, 3, 1, 2)) * np.float32(self.scale)


def _entry(name: str, title: str, module: str, shape: tuple[int, ...], outputs: int, pixels: tuple[int, float] | None) -> Network:
    offset, scale = pixels or (None, None)
    return Network(name=name, title=title, module=f"rpa.models.{module}", input_shape=shape, outputs=outputs, offset=offset, scale=scale)


UNIT = (128, 1 / 64)
"""Pixels of photographs to about mean 0 and variance 1, which random weights expect."""
NETWORKS = {network.name: network for network in (
    _entry("lenet5", "LeNet-5", "tiny", (1, 28, 28), 10, (0, 1 / 256)),
    _entry("resnet8", "ResNet-8 (MLPerf Tiny)", "tiny", (3, 32, 32), 10, (128, 1 / 128)),
    _entry("ds_cnn", "DS-CNN (MLPerf Tiny)", "tiny", (1, 49, 10), 12, None),
    _entry("mobilenet_v1_025", "MobileNetV1-0.25 (MLPerf Tiny)", "tiny", (3, 96, 96), 2, UNIT),
    _entry("autoencoder", "anomaly-detection autoencoder (MLPerf Tiny)", "tiny", (640,), 640, None),
    _entry("alexnet", "AlexNet", "imagenet", (3, 224, 224), 1000, UNIT),
    _entry("vgg16", "VGG-16", "imagenet", (3, 224, 224), 1000, UNIT),
    _entry("resnet18", "ResNet-18", "imagenet", (3, 224, 224), 1000, UNIT),
    _entry("resnet50", "ResNet-50", "imagenet", (3, 224, 224), 1000, UNIT),
)}


def build(name: str, seed: int = 0, weights: Mapping[str, np.ndarray] | Path | str | None = None, *, batch: int | None = 1) -> onnx.ModelProto:
    """Return a network as an ONNX model: float32, NCHW, opset 13; one input `input`, one output `output`, batch norm as nodes of its own.

    ``weights``: None for random ones of ``seed``; "trained" for those that come with this package; a .safetensors file; or a mapping from name to
    array. ``batch``: the size of the batch, or None to leave it open. Raises ModelError if the name is not known, the weights do not fit, or onnx
    is not installed.
    """
    network = find(name)
    if batch is not None and batch < 1:
        raise ModelError(f"a batch must be at least 1, not {batch}")
    parameters = _parameters(network, seed, weights)
    try:
        from rpa.models.graph import Graph
    except ImportError as error:
        raise ModelError(f"building a network needs `{error.name}`, which is not installed: pip install 'rpa-toolchain[net]'") from None
    graph = Graph(network.name, network.input_shape, parameters, "N" if batch is None else batch)
    return graph.finish(getattr(import_module(network.module), network.name)(graph))


def find(name: str) -> Network:
    """The registry's entry. Raises ModelError if there is none."""
    if name not in NETWORKS:
        raise ModelError(f"no network is called {name!r}; there are {', '.join(NETWORKS)}")
    return NETWORKS[name]


def _parameters(network: Network, seed: int, weights: Mapping[str, np.ndarray] | Path | str | None) -> Parameters:
    if weights is None:
        return RandomParameters(seed)
    if isinstance(weights, Mapping):
        return StoredParameters(weights, "weights")
    if weights == TRAINED:
        if not network.trained:
            known = [entry.name for entry in NETWORKS.values() if entry.trained]
            raise ModelError(f"{network.name} does not come with trained weights; these do: {', '.join(known) or 'none'}")
        weights = WEIGHTS / f"{network.name}.safetensors"
    return StoredParameters(read_safetensors(Path(weights)), str(weights))
