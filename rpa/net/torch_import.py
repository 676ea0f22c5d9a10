"""From a `torch.nn.Module` to the float graph, through torch's own ONNX exporter. The only place of `rpa.net` that knows torch."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import Any

import numpy as np

from rpa.net.errors import NetError
from rpa.net.graph import Graph
from rpa.net.onnx_import import load_onnx

OPSET = 20
"""Of ONNX's operators, that the exporter is asked for."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def load_torch(module: Any, example: Any, *, name: str | None = None) -> Graph:
    """The normalised float graph of a module, in evaluation mode; its training mode is as before afterwards.

    example: a tensor or array, or a sequence of them, one for each argument of `forward`, with a batch of 1 first.
    Raises NetError if torch is missing, if the module cannot be exported, or if it has operators that cannot be translated.
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise NetError(f"module is a {type(module).__name__}, must be a torch.nn.Module")
    parts = list(example) if isinstance(example, Sequence) else [example]
    tensors = tuple(part if isinstance(part, torch.Tensor) else torch.from_numpy(np.array(part)) for part in parts)
    title = name or type(module).__name__
    return replace(load_onnx(_exported(torch, module, tensors, title)), name=title)


def _torch() -> Any:
    try:
        import onnxscript  # noqa: F401  torch's exporter needs it and says so only when it is called
        import torch
    except ImportError as error:
        raise NetError(f"{error.name} is not installed; install the extra `train`") from None
    return torch


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its progress, logs and warns of its own future."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _exported(torch: Any, module: Any, tensors: tuple[Any, ...], title: str) -> bytes:
    training = module.training
    module.eval()
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(module, tensors, dynamo=True, opset_version=OPSET, verbose=False)
            return program.model_proto.SerializeToString()
    except Exception as error:  # whatever torch's tracer makes of the module
        reason = error.__cause__ or error       # the exporter's own text says only what to try next
        lines = [line.strip() for line in _COLOUR.sub("", str(reason)).splitlines() if line.strip()]
        raise NetError(f"{title}: torch cannot export it: {type(reason).__name__}: {' '.join(lines[:3])[:400]}") from None
    finally:
        module.train(training)
