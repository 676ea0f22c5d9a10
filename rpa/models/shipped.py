"""The quantized models that come with this package, and the record of how each set of weights was made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rpa.models.errors import ModelError
from rpa.models.registry import WEIGHTS

if TYPE_CHECKING:
    import onnx


def quantized_names() -> list[str]:
    """Such as `lenet5_w4a3`: network, bits of weights, bits of activations."""
    return sorted(path.stem for path in WEIGHTS.glob("*.onnx"))


def load_quantized(name: str) -> onnx.ModelProto:
    """Return a model with QuantizeLinear and DequantizeLinear nodes; its conventions are those of `rpa.train.qat.export`. Raises ModelError."""
    if name not in quantized_names():
        raise ModelError(f"no quantized model is called {name!r}; there are {', '.join(quantized_names())}")
    try:
        import onnx
    except ImportError:
        raise ModelError("loading a model needs `onnx`, which is not installed: pip install 'rpa-toolchain[net]'") from None
    return onnx.load(WEIGHTS / f"{name}.onnx", load_external_data=False)


def record(name: str) -> dict[str, Any]:
    """Return how weights were made: script, settings, data with checksums, accuracies measured. Raises ModelError if there is none."""
    path = WEIGHTS / f"{name}.json"
    if not path.is_file():
        raise ModelError(f"no weights are called {name!r}; there are {', '.join(sorted(path.stem for path in WEIGHTS.glob('*.json')))}")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
