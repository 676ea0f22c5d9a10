"""Running a model in onnxruntime, its nodes one by one."""

import numpy as np
import onnxruntime as ort


def run(model, images: np.ndarray) -> np.ndarray:
    """The only output for a batch."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": images})[0]
