"""The Image Prediction API: serves a trained ONNX image classifier over HTTP."""
