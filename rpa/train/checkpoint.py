"""State of a training run on disk: parameters and momenta in one safetensors file."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from isa.files import write_atomic
from rpa.train.settings import Settings, TrainingError

MODULE, MOMENTUM = "module.", "momentum."


def save_checkpoint(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, settings: Settings, epochs_done: int) -> None:
    """Write the run's state."""
    tensors = {MODULE + name: value.contiguous() for name, value in module.state_dict().items()}
    for index, value in enumerate(_momenta(optimizer)):
        tensors[f"{MOMENTUM}{index}"] = value.contiguous()
    write_atomic(path, save(tensors, {"settings": json.dumps(settings.as_dict()), "epochs_done": str(epochs_done)}))


def load_checkpoint(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, settings: Settings) -> int:
    """Restore a run's state and return how many epochs are done. Raises TrainingError if it is not of these settings or damaged."""
    try:
        with safe_open(path, "pt") as stored:
            notes = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"{path}: no checkpoint that can be read: {error}") from None
    if notes.get("settings") != json.dumps(settings.as_dict()):
        raise TrainingError(f"{path}: a checkpoint of other settings; remove it, or give the settings that it has: {notes.get('settings')}")
    module.load_state_dict({name.removeprefix(MODULE): value for name, value in tensors.items() if name.startswith(MODULE)})
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, parameter in enumerate(parameters):
        optimizer.state[parameter]["momentum_buffer"] = tensors[f"{MOMENTUM}{index}"].clone()
    return int(notes["epochs_done"])


def _momenta(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [optimizer.state[p]["momentum_buffer"] for group in optimizer.param_groups for p in group["params"]]
