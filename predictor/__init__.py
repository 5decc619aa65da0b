"""The Image Prediction API: serves a trained ONNX image classifier over HTTP."""

__version__ = "0.1.0"
