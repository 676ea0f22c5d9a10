"""Networks as ONNX models, with random or trained weights: `build("resnet8", weights="trained")`."""

from __future__ import annotations

from rpa.models.errors import ModelError
from rpa.models.registry import NETWORKS, Network, build, find

__all__ = ["NETWORKS", "ModelError", "Network", "build", "find"]
