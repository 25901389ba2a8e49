"""The encoder `onnx`."""
