"""Training: one cycle of stochastic gradient descent, with a checkpoint after every epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rpa.data import Dataset, Split
from rpa.train.batches import to_input, training_batches
from rpa.train.checkpoint import load_checkpoint, save_checkpoint
from rpa.train.settings import Settings, TrainingError

TEST_BATCH = 500
Report = Callable[[str], None]
BeforeStep = Callable[[float], object]


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training set gave."""

    number: int
    loss: float
    """Mean over the batches."""
    accuracy: float
    """On the test part, 0..1."""
    seconds: float


def rate_at(step: int, per_epoch: int, settings: Settings) -> float:
    """Learning rate of a step, 0 .. epochs * per_epoch - 1."""
    cooling = (settings.epochs - settings.cool_down) * per_epoch
    if settings.cool_down and step >= cooling:
        return _cycle(cooling, per_epoch, settings) * (1 - (step - cooling) / (settings.cool_down * per_epoch))
    return _cycle(step, per_epoch, settings)


def _cycle(step: int, per_epoch: int, settings: Settings) -> float:
    steps = (settings.cycle or settings.epochs) * per_epoch
    rising = max(1, round(steps * settings.warm_up))
    if step < rising:
        return settings.peak_rate * (1 / 25 + 24 / 25 * step / rising)
    return settings.peak_rate * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2


def optimizer_for(module: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum; weight decay on tensors of two axes or more alone."""
    learned = [p for p in module.parameters() if p.requires_grad]
    weights = [p for p in learned if p.ndim > 1]
    others = [p for p in learned if p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=settings.peak_rate, momentum=settings.momentum, nesterov=True)


def train(module: nn.Module, data: Dataset, settings: Settings, *, checkpoint: Path | None = None, report: Report = print,
          before_step: BeforeStep | None = None) -> list[Epoch]:
    """Train ``module`` in place. With ``checkpoint`` every epoch is kept there, and a run that was cut short goes on from it.

    before_step: called before every step with the part of training that is over, 0..1.

    Raises TrainingError if the loss is no longer a number, the set is smaller than a batch, or the checkpoint is of other settings.
    """
    if len(data.train) < settings.batch:
        raise TrainingError(f"{data.name} has {len(data.train)} training images, fewer than a batch of {settings.batch}")
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = optimizer_for(module, settings)
    first = load_checkpoint(checkpoint, module, optimizer, settings) if checkpoint is not None and checkpoint.exists() else 0
    epochs = []
    for number in range(first, settings.epochs):
        started = time.perf_counter()
        loss = _one_epoch(module, optimizer, data.train, settings, number, before_step)
        seconds = time.perf_counter() - started
        epochs.append(Epoch(number + 1, loss, accuracy(module, data.test, settings), seconds))
        report(f"epoch {number + 1}/{settings.epochs}: loss {loss:.4f}, test {100 * epochs[-1].accuracy:.2f} %, {seconds:.1f} s")
        if checkpoint is not None:
            save_checkpoint(checkpoint, module, optimizer, settings, number + 1)
    return epochs


def _one_epoch(module: nn.Module, optimizer: torch.optim.Optimizer, split: Split, settings: Settings, number: int,
               before_step: BeforeStep | None = None) -> float:
    per_epoch = len(split) // settings.batch
    module.train()
    total = 0.0
    for index, (images, labels) in enumerate(training_batches(split, settings, number)):
        rate = rate_at(number * per_epoch + index, per_epoch, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        if before_step is not None:
            before_step((number * per_epoch + index) / (settings.epochs * per_epoch))
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
            scores = module(images)
        loss = F.cross_entropy(scores.float(), labels)
        loss.backward()
        optimizer.step()
        total += loss.item()
        if not math.isfinite(total):
            raise TrainingError(f"{settings.network}: the loss is {total} in epoch {number + 1}, batch {index + 1}; lower peak_rate "
                                f"({settings.peak_rate})")
    return total / per_epoch


@torch.no_grad()
def accuracy(module: nn.Module, split: Split, settings: Settings) -> float:
    """Share of images whose highest score is at their label, in float32."""
    module.eval()
    right = 0
    for images, labels in _test_batches(split, settings):
        right += int((module(images).argmax(1) == labels).sum())
    return right / len(split)


def _test_batches(split: Split, settings: Settings) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    for start in range(0, len(split), TEST_BATCH):
        part = slice(start, start + TEST_BATCH)
        yield to_input(split.images[part], settings), torch.from_numpy(split.labels[part].astype(np.int64))
