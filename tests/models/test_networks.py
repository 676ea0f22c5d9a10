"""Every network against published figures, and run by onnxruntime."""

import numpy as np
import onnx
import pytest

from rpa.models import NETWORKS, ModelError, build, count, find

ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PUBLISHED = {
    # network: multiply-accumulates, trained parameters
    "lenet5": (416_520, 61_706),  # LeCun 1998's layers on 32x32: 28*28*6*25 + 10*10*16*150 + 400*120 + 120*84 + 84*10
    "resnet8": (12_501_632, None),  # MLPerf Tiny: 12.5 M
    "ds_cnn": (2_656_768, None),  # MLPerf Tiny: 2.66 M
    "mobilenet_v1_025": (7_489_664, None),  # MLPerf Tiny: 7.49 M
    "autoencoder": (264_192, None),  # MLPerf Tiny: 0.264 M
    "alexnet": (714_188_480, 61_100_840),  # torchvision: 0.71 G, and its parameter counts
    "vgg16": (15_470_264_320, 138_357_544),  # 15.47 G
    "resnet18": (1_814_073_344, 11_689_512),  # 1.81 G
    "resnet50": (4_089_184_256, 25_557_032),  # 4.09 G
}
KERAS_PARAMETERS = {"resnet8": 78_666, "ds_cnn": 24_908, "mobilenet_v1_025": 221_794, "autoencoder": 269_992}
"""As Keras prints for MLPerf Tiny's models: running statistics included, and a bias in every convolution, also before batch norm."""
SMALL = [name for name in NETWORKS if name not in ("alexnet", "vgg16", "resnet18", "resnet50")]


def session(model):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def inputs_for(name, count_of=4):
    return np.random.default_rng(11).standard_normal((count_of, *NETWORKS[name].input_shape), np.float32)


def with_rectified_outputs(model):
    """A copy that also returns what every ReLU gives."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in model.graph.node:
        if node.op_type == "Relu":
            copy.graph.output.append(onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None))
    return copy


def biases_left_out(model):
    """Output channels of the convolutions without a bias."""
    sizes = {tensor.name: tensor.dims[0] for tensor in model.graph.initializer}
    return sum(sizes[node.input[1]] for node in model.graph.node if node.op_type == "Conv" and len(node.input) == 2)


def test_every_network_is_checked():
    assert PUBLISHED.keys() == NETWORKS.keys()


@pytest.mark.parametrize("name", NETWORKS)
def test_size_and_life(name):
    """MACs and parameters are the published ones; with random weights nothing overflows, dies or forgets its input."""
    model = build(name, seed=0, batch=None)
    macs, parameters = PUBLISHED[name]
    assert count.count_macs(model) == macs
    if parameters is not None:
        assert count.count_parameters(model) == parameters
    else:
        assert count.count_parameters(model, trained=False) + biases_left_out(model) == KERAS_PARAMETERS[name]
    assert (model.ir_version, model.opset_import[0].version) == (10, 13)
    if name in SMALL:
        onnx.checker.check_model(model, full_check=True)
        model = with_rectified_outputs(model)
    output, *rectified = session(model).run(None, {"input": inputs_for(name)})
    assert output.shape == (4, NETWORKS[name].outputs) and np.isfinite(output).all()
    assert 0.1 < output.std() < 4 and output.std(0).mean() > 0.05 * output.std()
    for values in rectified:
        channels = values.max(axis=(0, *range(2, values.ndim)))
        assert 0.2 < values.std() < 4 and (channels > 0).mean() > 0.8


@pytest.mark.parametrize("name", SMALL)
def test_seed_decides_the_weights(name):
    assert build(name, seed=5).SerializeToString(deterministic=True) == build(name, seed=5).SerializeToString(deterministic=True)
    first, second = (onnx.numpy_helper.to_array(build(name, seed=seed).graph.initializer[0]) for seed in (5, 6))
    assert not np.allclose(first, second)


def test_batch():
    assert [axis.dim_value for axis in build("lenet5", batch=3).graph.input[0].type.tensor_type.shape.dim] == [3, 1, 28, 28]
    assert build("lenet5", batch=None).graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


def test_inputs_of_pixels():
    network = find("resnet8")
    images = np.zeros((1, 32, 32, 3), np.uint8)
    images[0, 1, 2] = (0, 128, 255)
    values = network.to_input(images)
    assert values.shape == (1, 3, 32, 32) and values.dtype == np.float32
    assert values[0, :, 1, 2].tolist() == [-1.0, 0.0, 127 / 128]
    with pytest.raises(ModelError, match=r"^resnet8: images are uint8 \(1, 28, 28, 1\), must be uint8 \(N, 32, 32, 3\)$"):
        network.to_input(np.zeros((1, 28, 28, 1), np.uint8))
    with pytest.raises(ModelError, match=r"^autoencoder takes 640 features, not images$"):
        find("autoencoder").to_input(images)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"name": "lenet"}, "no network is called 'lenet'; there are lenet5, resnet8, ds_cnn, mobilenet_v1_025, autoencoder, alexnet, vgg16, "
                        "resnet18, resnet50"),
    ({"name": "lenet5", "batch": 0}, "a batch must be at least 1, not 0"),
    ({"name": "lenet5", "seed": -1}, "a seed must be 0 or more, not -1"),
    ({"name": "vgg16", "weights": "trained"}, "vgg16 does not come with trained weights; these do: "),
    ({"name": "lenet5", "weights": "/nowhere/x.safetensors"}, "/nowhere/x.safetensors: cannot be read: No such file or directory"),
])
def test_bad_arguments(arguments, message):
    with pytest.raises(ModelError) as caught:
        build(**arguments)
    assert str(caught.value).startswith(message)
