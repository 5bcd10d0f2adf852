"""The network for other runtimes: ONNX files, and the proof that they compute the same. See README.md."""
