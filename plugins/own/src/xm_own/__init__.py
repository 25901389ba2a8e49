"""Encoders of your own: an ONNX file, a function of your code."""
