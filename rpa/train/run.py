"""One training run from settings to files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save

from isa.files import write_atomic
from rpa.data import Dataset
from rpa.train.loop import accuracy, train
from rpa.train.modules import MODULES
from rpa.train.settings import Settings


def log(line: str) -> None:
    """Progress on stderr, at once."""
    print(line, file=sys.stderr, flush=True)


def train_network(settings: Settings, data: Dataset, out: Path, *, checkpoint: Path | None = None, threads: int = 1) -> Path:
    """Train a network and write `NAME.safetensors` with its record `NAME.json` into ``out``; return the path of the weights."""
    torch.set_num_threads(threads)
    torch.manual_seed(settings.seed)
    module = MODULES[settings.network]()
    train(module, data, settings, checkpoint=checkpoint, report=log)
    module.eval()
    state = {name: value for name, value in module.state_dict().items() if not name.endswith("num_batches_tracked")}
    record = {
        "script": f"python -m rpa.train {settings.network}", "settings": settings.as_dict(), "torch": torch.__version__,
        "data": {"name": data.name, "source": data.source, "train": len(data.train), "test": len(data.test), "sha256": data.checksums()},
        "test_accuracy": accuracy(module, data.test, settings), "parameters": sum(value.numel() for value in module.parameters()),
    }
    weights = out / f"{settings.network}.safetensors"
    write_atomic(weights, save({name: value.contiguous() for name, value in state.items()}))
    write_atomic(weights.with_suffix(".json"), (json.dumps(record, indent=2) + "\n").encode())
    return weights
