"""Networks as ONNX models, with random or trained weights: `build("resnet8", weights="trained")`, `load_quantized("lenet5_w4a3")`.

`record(NAME)` tells how weights were made and what they reach. Retraining needs the extra `train`: `python -m rpa.train`, `python -m rpa.train.qat`.
"""

from __future__ import annotations

from rpa.models.errors import ModelError
from rpa.models.registry import NETWORKS, Network, build, find
from rpa.models.shipped import load_quantized, quantized_names, record

__all__ = ["NETWORKS", "ModelError", "Network", "build", "find", "load_quantized", "quantized_names", "record"]
