"""Training on a handful of real digits: it learns, repeats itself, goes on from a checkpoint, and says what is wrong."""

import dataclasses

import numpy as np
import pytest
import torch

from rpa.data import Split, load
from rpa.train.loop import optimizer_for, rate_at, train
from rpa.train.modules import LeNet5, ResNet8
from rpa.train.settings import Settings, TrainingError

SMALL = Settings(network="lenet5", data="mnist", epochs=4, batch=20, peak_rate=0.05, shift=1)


def fresh(seed=0):
    torch.manual_seed(seed)
    return LeNet5()


def quiet(line):
    """Progress is of no interest here."""


def state(module):
    return torch.cat([value.flatten() for value in module.parameters()]).detach().numpy()


def test_the_cycle_by_hand():
    settings = dataclasses.replace(SMALL, epochs=10, warm_up=0.2, peak_rate=1.0)
    assert [rate_at(step, 1, settings) for step in (0, 1)] == pytest.approx([1 / 25, 1 / 25 + 24 / 50])
    assert [rate_at(step, 1, settings) for step in (2, 6, 9)] == pytest.approx([1.0, 0.5, (1 + np.cos(np.pi * 7 / 8)) / 2])


def test_a_cycle_cut_short_by_hand():
    settings = dataclasses.replace(SMALL, epochs=8, cycle=10, cool_down=2, warm_up=0.2, peak_rate=1.0)
    assert rate_at(5 * 3, 3, settings) == pytest.approx((1 + np.cos(np.pi * 3 / 8)) / 2)
    assert [rate_at(6 * 3 + step, 3, settings) for step in range(6)] == pytest.approx([0.5 * (6 - step) / 6 for step in range(6)])
    with pytest.raises(TrainingError, match=r"^cool_down is 9 epochs, must be 0\.\.8"):
        dataclasses.replace(settings, cool_down=9)


def test_weight_decay_is_for_weights():
    groups = optimizer_for(ResNet8(), SMALL).param_groups
    assert {p.ndim for p in groups[0]["params"]} == {2, 4} and {p.ndim for p in groups[1]["params"]} == {1}
    assert (groups[0]["weight_decay"], groups[1]["weight_decay"]) == (SMALL.weight_decay, 0.0)


def test_it_learns():
    data = load("mnist-subset")
    epochs = train(fresh(), data, dataclasses.replace(SMALL, epochs=40), report=quiet)
    assert epochs[0].loss > 2 and epochs[-1].loss < 1
    assert epochs[-1].accuracy > 0.6  # of 200 test images, from 100 to train; chance is 0.1


def test_same_seed_same_weights():
    data, first, second, other = load("mnist-subset"), fresh(), fresh(), fresh()
    for module, seed in ((first, 1), (second, 1), (other, 2)):
        train(module, data, dataclasses.replace(SMALL, seed=seed, epochs=2), report=quiet)
    assert np.array_equal(state(first), state(second)) and not np.array_equal(state(first), state(other))


def test_the_test_set_decides_nothing():
    """A fault of published results: the best epoch chosen on the test set. Other test images with wrong labels give the same weights."""
    data, first, second = load("mnist-subset"), fresh(), fresh()
    others = Split(images=255 - data.test.images, labels=(data.test.labels + 1) % 10)
    for module, test in ((first, data.test), (second, others)):
        train(module, dataclasses.replace(data, test=test), dataclasses.replace(SMALL, epochs=3), report=quiet)
    assert np.array_equal(state(first), state(second))


def test_a_run_cut_short_goes_on_as_if_it_had_not_been(tmp_path):
    data, unbroken, broken = load("mnist-subset"), fresh(), fresh()
    train(unbroken, data, SMALL, report=quiet)

    def stop(line):
        if line.startswith("epoch 3"):
            raise KeyboardInterrupt

    path = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        train(broken, data, SMALL, checkpoint=path, report=stop)
    resumed = fresh(seed=9)
    assert [epoch.number for epoch in train(resumed, data, SMALL, checkpoint=path, report=quiet)] == [3, 4]
    assert np.array_equal(state(resumed), state(unbroken))


def test_checkpoints_of_something_else_are_refused(tmp_path):
    data, path = load("mnist-subset"), tmp_path / "run.ckpt"
    train(fresh(), data, dataclasses.replace(SMALL, epochs=1), checkpoint=path, report=quiet)
    with pytest.raises(TrainingError, match="a checkpoint of other settings"):
        train(fresh(), data, SMALL, checkpoint=path, report=quiet)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TrainingError, match="no checkpoint that can be read"):
        train(fresh(), data, SMALL, checkpoint=path, report=quiet)


def test_a_loss_that_is_no_number_ends_the_run():
    with pytest.raises(TrainingError, match=r"^lenet5: the loss is (nan|inf) in epoch \d+, batch \d+; lower peak_rate \(1e\+20\)$"):
        train(fresh(), load("mnist-subset"), dataclasses.replace(SMALL, peak_rate=1e20), report=quiet)


def test_too_few_images():
    data = load("mnist-subset")
    few = dataclasses.replace(data, train=Split(images=data.train.images[:3], labels=data.train.labels[:3]))
    with pytest.raises(TrainingError, match=r"^mnist-subset has 3 training images, fewer than a batch of 20$"):
        train(fresh(), few, SMALL, report=quiet)


def test_parameters_that_are_not_learned_need_no_checkpoint(tmp_path):
    """As the fixed scale of an input: they stay as they are, and a run goes on without them."""
    data, module, path = load("mnist-subset"), fresh(), tmp_path / "run.ckpt"
    module.conv1.bias.requires_grad_(False)
    before = module.conv1.bias.clone()
    train(module, data, SMALL, checkpoint=path, report=quiet)
    assert torch.equal(module.conv1.bias, before)
    assert train(module, data, SMALL, checkpoint=path, report=quiet) == []
