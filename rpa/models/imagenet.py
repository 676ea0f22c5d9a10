"""The networks for 224 x 224 pixels and 1,000 classes, with the shapes and parameter names of torchvision."""

from __future__ import annotations

from rpa.models.graph import Graph

CLASSES = 1000


def alexnet(graph: Graph) -> str:
    """AlexNet in one piece (no groups)."""
    x = graph.max_pool(graph.relu(graph.conv(graph.input, "features.0", 64, 11, stride=4, pads=2)), 3, stride=2)
    x = graph.max_pool(graph.relu(graph.conv(x, "features.3", 192, 5, pads=2)), 3, stride=2)
    for index, channels in ((6, 384), (8, 256), (10, 256)):
        x = graph.relu(graph.conv(x, f"features.{index}", channels, 3, pads=1))
    x = graph.flatten(graph.max_pool(x, 3, stride=2))
    for index in (1, 4):
        x = graph.relu(graph.linear(x, f"classifier.{index}", 4096))
    return graph.linear(x, "classifier.6", CLASSES)


def vgg16(graph: Graph) -> str:
    """VGG-16 without batch norm."""
    x, index = graph.input, 0
    for channels, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            x = graph.relu(graph.conv(x, f"features.{index}", channels, 3, pads=1))
            index += 2
        x = graph.max_pool(x, 2)
        index += 1
    x = graph.flatten(x)
    for index in (0, 3):
        x = graph.relu(graph.linear(x, f"classifier.{index}", 4096))
    return graph.linear(x, "classifier.6", CLASSES)


def resnet18(graph: Graph) -> str:
    """ResNet-18: two blocks of two 3x3 convolutions a stage."""
    x = _stem(graph)
    for stage, channels in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            x = _basic(graph, x, f"layer{stage}.{block}", channels, 2 if stage > 1 and block == 0 else 1)
    return graph.linear(graph.global_average(x), "fc", CLASSES)


def resnet50(graph: Graph) -> str:
    """ResNet-50: bottlenecks of 1x1, 3x3, 1x1; the stride is in the 3x3 convolution."""
    x = _stem(graph)
    for stage, (channels, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        for block in range(count):
            x = _bottleneck(graph, x, f"layer{stage}.{block}", channels, 2 if stage > 1 and block == 0 else 1)
    return graph.linear(graph.global_average(x), "fc", CLASSES)


def _stem(graph: Graph) -> str:
    x = graph.conv(graph.input, "conv1", 64, 7, stride=2, pads=3, bias=False)
    return graph.max_pool(graph.relu(graph.batch_norm(x, "bn1")), 3, stride=2, pads=1)


def _basic(graph: Graph, x: str, name: str, channels: int, stride: int) -> str:
    y = graph.conv(x, f"{name}.conv1", channels, 3, stride=stride, pads=1, bias=False)
    y = graph.relu(graph.batch_norm(y, f"{name}.bn1"))
    y = graph.batch_norm(graph.conv(y, f"{name}.conv2", channels, 3, pads=1, bias=False), f"{name}.bn2")
    return graph.relu(graph.add(f"{name}.add", y, _around(graph, x, name, channels, stride)))


def _bottleneck(graph: Graph, x: str, name: str, channels: int, stride: int) -> str:
    y = graph.relu(graph.batch_norm(graph.conv(x, f"{name}.conv1", channels, 1, bias=False), f"{name}.bn1"))
    y = graph.conv(y, f"{name}.conv2", channels, 3, stride=stride, pads=1, bias=False)
    y = graph.relu(graph.batch_norm(y, f"{name}.bn2"))
    y = graph.batch_norm(graph.conv(y, f"{name}.conv3", 4 * channels, 1, bias=False), f"{name}.bn3")
    return graph.relu(graph.add(f"{name}.add", y, _around(graph, x, name, 4 * channels, stride)))


def _around(graph: Graph, x: str, name: str, channels: int, stride: int) -> str:
    """What is added to a block's output: its input, through a 1x1 convolution where the shape changes."""
    if stride == 1 and graph.shapes[x][0] == channels:
        return x
    return graph.batch_norm(graph.conv(x, f"{name}.downsample.0", channels, 1, stride=stride, bias=False), f"{name}.downsample.1")
