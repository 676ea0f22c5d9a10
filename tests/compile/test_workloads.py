"""Real networks, quantized and compiled, give the integers of the reference; two layers of them also as RTL, in equal cycles."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from rpa.arch.config import ArrayConfig
from rpa.compile.compiled import compile_net
from rpa.net import reference
from rpa.net.integer import IntNet

pytest.importorskip("onnx", reason="networks come as ONNX models: the extra `net`")

from rpa import models
from rpa.models.registry import NETWORKS
from rpa.net.onnx_import import load_onnx
from rpa.quant.front import Calibrated
from rpa.quant.options import Options

WIDTHS = ["16", "8", "4", "2", "w4a8"]
TINY_NETS = ["lenet5", "resnet8", "autoencoder"]


@cache
def calibrated(name: str) -> tuple[Calibrated, np.ndarray]:
    """A network with weights of its own and smooth random inputs."""
    network = NETWORKS[name]
    random = np.random.default_rng(1)
    images = random.normal(0, 1, (4, *network.input_shape)).astype(np.float32)
    if len(network.input_shape) == 3:
        for axis in (2, 3):
            images = (images + np.roll(images, 1, axis) + np.roll(images, 2, axis)) / 3**0.5
    return Calibrated(load_onnx(models.build(name)), images), images


def quantized(name: str, widths: str) -> tuple[IntNet, dict[str, np.ndarray]]:
    calibration, images = calibrated(name)
    result = calibration.quantize(widths, Options(shortcuts="joint"))
    return result.net, {key: values[0] for key, values in result.to_integers(images[:1]).items()}


def check(name: str, widths: str) -> None:
    net, image = quantized(name, widths)
    compiled = compile_net(net, effort=False)
    run, expected = compiled.run(image), reference.run(net, image)
    assert [key for key, values in run.features.items() if not np.array_equal(values, expected[key])] == []
    assert run.result.cycles == compiled.report.cycles


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("name", TINY_NETS)
def test_network(name, widths):
    check(name, widths)


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("name", ["ds_cnn", "mobilenet_v1_025"])
def test_depthwise_network(name, widths):
    check(name, widths)


def check_by_torch(name: str, widths: str) -> None:
    pytest.importorskip("torch", reason="the extra `train` brings torch")
    from tests.compile.torch_integers import run as by_torch

    net, image = quantized(name, widths)
    ours, theirs = reference.run(net, image), by_torch(net, image)
    assert len(ours) > 5
    assert [key for key, values in ours.items() if not np.array_equal(values, theirs[key])] == []


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("name", [*TINY_NETS, "ds_cnn", "mobilenet_v1_025"])
def test_the_reference_is_torchs(name, widths):
    check_by_torch(name, widths)


@pytest.mark.soak
@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("name", ["alexnet", "vgg16", "resnet18", "resnet50"])
def test_large_network(name, widths):
    check(name, widths)
    check_by_torch(name, widths)


def first_layers(net: IntNet, count: int) -> IntNet:
    """The first nodes of a network as a network."""
    nodes = net.nodes[:count]
    names = {*net.inputs, *(node.output for node in nodes)}
    return IntNet(name=f"{net.name}_slice", features={key: value for key, value in net.features.items() if key in names}, inputs=net.inputs,
                  outputs=(nodes[-1].output,), nodes=nodes)


@pytest.mark.rtl
@pytest.mark.parametrize("name", ["lenet5", "resnet8"])
def test_two_layers_as_rtl(name):
    net, image = quantized(name, "8")
    part = first_layers(net, 2)
    compiled = compile_net(part, ArrayConfig.preset("small"), effort=False)
    fast, rtl = compiled.run(image, "fast"), compiled.run(image, "rtl")
    assert rtl.result.cycles == fast.result.cycles == compiled.report.cycles
    assert rtl.result.counters == fast.result.counters
    expected = reference.run(part, image)
    assert all(np.array_equal(values, expected[key]) for key, values in rtl.features.items())
