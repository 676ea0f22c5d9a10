"""Networks: the float graph as it comes from ONNX or torch, and the integer network that the array computes."""
