"""One model: what it is and how it runs. The only user of onnx, onnxruntime and pynvml."""
