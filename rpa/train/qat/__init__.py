"""Quantization-aware training: learned step sizes (LSQ) on a network whose batch norm is folded, at any widths.

The network comes in as an ONNX model and leaves as one with QuantizeLinear and DequantizeLinear nodes; in between `network.QatNetwork` runs the same
graph in torch with fake quantization at the places that `plan.Plan` chose.
"""
