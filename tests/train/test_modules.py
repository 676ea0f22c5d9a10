"""The torch modules are the ONNX networks: same parameters, same results."""

import numpy as np
import pytest
import torch

from rpa.models import build, find
from rpa.train.modules import MODULES
from tests.train.runtime import run


@pytest.mark.parametrize("name", MODULES)
def test_module_and_model_agree(name):
    torch.manual_seed(4)
    module = MODULES[name]()
    for value in module.buffers():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)  # running statistics that are not 0 and 1
    module.eval()
    state = {key: value.numpy() for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")}
    inputs = np.random.default_rng(0).standard_normal((3, *find(name).input_shape), np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(inputs)).numpy()
    assert run(build(name, weights=state, batch=None), inputs) == pytest.approx(expected, abs=1e-4)
