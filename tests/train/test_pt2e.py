"""A network trained with torchao's pt2e at W4A3, through ONNX and our importer: the model in onnxruntime, the reference and the array agree."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("torchao", reason="torchao is no dependency: pip install torchao==0.18")
pytest.importorskip("onnxscript", reason="the extra `train` brings onnxscript")

from safetensors.torch import load_file

from rpa import data
from rpa.compile.compiled import compile_net
from rpa.models import find
from rpa.models.registry import WEIGHTS
from rpa.net import reference
from rpa.net.onnx_import import load_onnx
from rpa.net.qdq import to_integer
from rpa.train.modules import LeNet5
from rpa.train.pt2e import exportable, narrow_quantizer

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS, BATCH = 8, 25


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An ONNX file, test images and their labels."""
    from torchao.quantization.pt2e import disable_observer, move_exported_model_to_eval
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

    torch.manual_seed(0)
    found, network = data.load("mnist-subset"), find("lenet5")
    images, labels = torch.from_numpy(network.to_input(found.train.images)), torch.from_numpy(found.train.labels.astype(np.int64))
    module = LeNet5()
    module.load_state_dict(load_file(WEIGHTS / "lenet5.safetensors"))
    batch = {0: torch.export.Dim("batch", min=1, max=1024)}
    graph = prepare_qat_pt2e(torch.export.export(module.train(), (images,), dynamic_shapes=(batch,)).module(),
                             narrow_quantizer(weight_bits=4, act_bits=3))
    optimizer = torch.optim.SGD(graph.parameters(), lr=0.002, momentum=0.9)
    for step in range(STEPS):
        part = slice(step % 4 * BATCH, step % 4 * BATCH + BATCH)
        optimizer.zero_grad()
        F.cross_entropy(graph(images[part]), labels[part]).backward()
        optimizer.step()
    graph.apply(disable_observer)
    converted = exportable(convert_pt2e(graph))
    move_exported_model_to_eval(converted)
    path = tmp_path_factory.mktemp("pt2e") / "lenet5.onnx"
    torch.onnx.export(torch.export.export(converted, (images[:1],)), dynamo=True, verbose=False).save(path)
    return path, network.to_input(found.test.images), found.test.labels


def test_through_onnx_onto_the_array(trained):
    path, images, labels = trained
    net = to_integer(load_onnx(path))
    stored = [net.features[name] for name in net.features if name not in net.outputs]
    assert {(one.bits, one.low, one.high) for one in stored} == {(4, 0, 7)}
    assert {term.weight_bits for node in net.nodes for term in getattr(node, "terms", ())} == {4}
    entry, output = net.features[net.inputs[0]], net.features[net.outputs[0]]
    codes = np.clip(np.rint(images / entry.scale) + entry.zero_point, entry.low, entry.high).astype(np.int64).transpose(0, 2, 3, 1)
    exact = reference.run_many(net, {entry.name: codes})[output.name].reshape(len(images), -1)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    scores = np.concatenate([session.run(None, {entry.name: image[None]})[0] for image in images])
    assert (exact.argmax(axis=1) == labels).mean() >= 0.95
    assert (np.abs(exact * output.scale - scores).max(axis=1) > 0.02 * np.abs(scores).max()).mean() <= 0.01      # but for ties in float32
    compiled = compile_net(net, effort=False)
    features, expected = compiled.run({entry.name: codes[0]}).features, reference.run(net, {entry.name: codes[0]})
    assert all(np.array_equal(values, expected[name]) for name, values in features.items())
