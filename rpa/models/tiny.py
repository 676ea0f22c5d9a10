"""LeNet-5 and the four networks of MLPerf Tiny."""

from __future__ import annotations

from rpa.models.graph import Graph, same_pads


def lenet5(graph: Graph) -> str:
    """LeNet-5 with ReLU and max pooling; its first convolution pads by 2, as 32 x 32 inputs did."""
    x = graph.max_pool(graph.relu(graph.conv(graph.input, "conv1", 6, 5, pads=2)), 2)
    x = graph.max_pool(graph.relu(graph.conv(x, "conv2", 16, 5)), 2)
    x = graph.relu(graph.linear(graph.flatten(x), "fc1", 120))
    x = graph.relu(graph.linear(x, "fc2", 84))
    return graph.linear(x, "fc3", 10)


def resnet8(graph: Graph) -> str:
    """Image classification: three stacks of two convolutions. Padding is one on every side, also where the stride is 2."""
    x = graph.relu(graph.batch_norm(graph.conv(graph.input, "conv1", 16, 3, pads=1, bias=False), "bn1"))
    for number, (channels, stride) in enumerate(((16, 1), (32, 2), (64, 2)), 1):
        x = _stack(graph, x, f"stack{number}", channels, stride)
    return graph.linear(graph.global_average(x), "fc", 10)


def _stack(graph: Graph, x: str, name: str, channels: int, stride: int) -> str:
    y = graph.conv(x, f"{name}.conv1", channels, 3, stride=stride, pads=1, bias=False)
    y = graph.relu(graph.batch_norm(y, f"{name}.bn1"))
    y = graph.batch_norm(graph.conv(y, f"{name}.conv2", channels, 3, pads=1, bias=False), f"{name}.bn2")
    around = x if stride == 1 else graph.conv(x, f"{name}.shortcut", channels, 1, stride=stride)
    return graph.relu(graph.add(f"{name}.add", y, around))


def ds_cnn(graph: Graph) -> str:
    """Keyword spotting: 49 frames of 10 cepstral coefficients, 12 words; depthwise separable convolutions of 64 channels."""
    pads = same_pads(graph.shapes[graph.input][1:], (10, 4), (2, 2))
    x = graph.conv(graph.input, "conv", 64, (10, 4), stride=2, pads=pads, bias=False)
    x = graph.relu(graph.batch_norm(x, "bn"))
    for number in range(1, 5):
        x = _separable(graph, x, number, 64, 1)
    return graph.linear(graph.global_average(x), "fc", 12)


def mobilenet_v1_025(graph: Graph) -> str:
    """Visual wake words: MobileNetV1 of a quarter of the channels on 96 x 96 pixels, two classes."""
    x = graph.conv(graph.input, "conv", 8, 3, stride=2, pads=(0, 0, 1, 1), bias=False)
    x = graph.relu(graph.batch_norm(x, "bn"))
    blocks = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]
    for number, (channels, stride) in enumerate(blocks, 1):
        x = _separable(graph, x, number, channels, stride)
    return graph.linear(graph.global_average(x), "fc", 2)


def _separable(graph: Graph, x: str, number: int, channels: int, stride: int) -> str:
    """Depthwise 3x3 and pointwise convolution, each with batch norm and ReLU."""
    inputs, *size = graph.shapes[x]
    pads = same_pads(tuple(size), (3, 3), (stride, stride))
    x = graph.conv(x, f"dw{number}", inputs, 3, stride=stride, pads=pads, groups=inputs, bias=False)
    x = graph.relu(graph.batch_norm(x, f"dw{number}_bn"))
    x = graph.conv(x, f"pw{number}", channels, 1, bias=False)
    return graph.relu(graph.batch_norm(x, f"pw{number}_bn"))


def autoencoder(graph: Graph) -> str:
    """Anomaly detection: 5 frames of 128 mel bands, brought down to 8 values and back."""
    x = graph.input
    for number, features in enumerate((128, 128, 128, 128, 8, 128, 128, 128, 128), 1):
        x = graph.relu(graph.batch_norm(graph.linear(x, f"fc{number}", features), f"bn{number}"))
    return graph.linear(x, "fc10", 640)
