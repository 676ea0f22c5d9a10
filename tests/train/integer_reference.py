"""A naive integer network: NumPy int64 on the exported numbers alone, written without looking at the exporter or at the quantizer.

Each layer is sums of products of integers, a bias, for joins a whole multiple of another sum, and one rounding to the next tensor.
"""

import numpy as np


def convolve(x, weight, stride, pad):
    """int64 (C, H, W) * (M, C, R, S) -> (M, P, Q)."""
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
    return np.tensordot(weight.astype(np.int64), windows, axes=((1, 2, 3), (0, 3, 4)))


def pooled(x):
    """Largest of 2x2."""
    return x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2).max((2, 4))


class Numbers:
    """The arrays of a .safetensors file, and the last integer of each tensor's range."""

    def __init__(self, arrays, highs):
        self.arrays, self.highs = arrays, highs

    def enter(self, image, scale):
        """Real input to integers."""
        limit = self.highs["input"]
        low = -limit - 1 if image.min() < 0 else 0
        return np.clip(np.rint(image / np.float64(self.arrays["input.scale"][0])), low, limit).astype(np.int64)

    def sums(self, x, layer, stride=1, pad=0):
        """Products and bias of a layer."""
        weight, bias = self.arrays[f"{layer}.weight_q"], self.arrays[f"{layer}.bias_q"].astype(np.int64)
        if weight.ndim == 2:
            return weight.astype(np.int64) @ x.reshape(-1) + bias
        return convolve(x, weight, stride, pad) + bias[:, None, None]

    def leave(self, sums, layer, source, target):
        """ReLU and rounding of sums whose unit is scale of ``source`` * weight scale of ``layer``, to the tensor ``target``."""
        unit = np.float64(self.arrays[f"{source}.scale"][0]) * self.arrays[f"{layer}.weight_scale"].astype(np.float64)
        real = sums * unit.reshape(-1, *[1] * (sums.ndim - 1)) / np.float64(self.arrays[f"{target}.scale"][0])
        return np.clip(np.rint(real), 0, self.highs[target]).astype(np.int64)


def lenet5(numbers, image):
    """Scores, real."""
    x = numbers.enter(image, "input")
    x = pooled(numbers.leave(numbers.sums(x, "conv1", pad=2), "conv1", "input", "conv1.relu"))
    x = pooled(numbers.leave(numbers.sums(x, "conv2"), "conv2", "conv1.relu", "conv2.relu"))
    x = numbers.leave(numbers.sums(x, "fc1"), "fc1", "conv2.relu", "fc1.relu")
    x = numbers.leave(numbers.sums(x, "fc2"), "fc2", "fc1.relu", "fc2.relu")
    return numbers.sums(x, "fc3") * (numbers.arrays["fc2.relu.scale"][0] * numbers.arrays["fc3.weight_scale"])


def resnet8(numbers, image):
    """Scores, real. A shortcut's sums enter the main layer's accumulator times their ratio."""
    x, name = numbers.leave(numbers.sums(numbers.enter(image, "input"), "conv1", pad=1), "conv1", "input", "bn1.relu"), "bn1.relu"
    for stack, stride in (("stack1", 1), ("stack2", 2), ("stack3", 2)):
        inner = numbers.leave(numbers.sums(x, f"{stack}.conv1", stride, 1), f"{stack}.conv1", name, f"{stack}.bn1.relu")
        ratio = numbers.arrays[f"{stack}.add.ratio"].astype(np.int64)[:, None, None]
        around = x if stride == 1 else numbers.sums(x, f"{stack}.shortcut", stride)
        sums = numbers.sums(inner, f"{stack}.conv2", 1, 1) + ratio * around
        x, name = numbers.leave(sums, f"{stack}.conv2", f"{stack}.bn1.relu", f"{stack}.add.relu"), f"{stack}.add.relu"
    scales = [np.float64(numbers.arrays[f"{tensor}.scale"][0]) for tensor in (name, f"{name}.mean")]
    means = np.clip(np.rint(x.sum((1, 2)) * scales[0] / x[0].size / scales[1]), 0, numbers.highs[f"{name}.mean"]).astype(np.int64)
    return numbers.sums(means, "fc") * (numbers.arrays[f"{name}.mean.scale"][0] * numbers.arrays["fc.weight_scale"])


NETWORKS = {"lenet5": lenet5, "resnet8": resnet8}
