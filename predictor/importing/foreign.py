"""Models of other formats, by the ends of their names and by their first bytes, and what to do with them."""

Format = tuple[str, str]
"""Whose model it is, as it stands after `one`, and what to do with it."""

_TORCH = "of PyTorch", 'Export it: torch.onnx.export(model, args, "m.onnx").'
_KERAS = "of Keras", 'Export it: model.export("m.onnx", format="onnx").'
_TENSORFLOW = "of TensorFlow", "Convert it with python -m tf2onnx.convert."
_PADDLE = "of Paddle", "Convert it with paddle2onnx."
_PICKLE = (
    "in Python's pickle format",
    'Export it: torch.onnx.export(model, args, "m.onnx"), or skl2onnx.to_onnx(model, pixels[:1]).',
)
_COREML = "of Core ML", "Export the network that it was converted from."
_OPENVINO = "of OpenVINO", "Upload the ONNX file that it was converted from."
_TENSORRT = "of TensorRT", "Upload the ONNX file that it was built from."
_ARCHIVE = "that is an archive", "Send what it holds."
_LFS = "that is a Git LFS pointer", "Run git lfs pull, then send the file itself."
_PAGE = "that is an HTML page", "Download the model again; a login may be missing."

_ENDS: dict[str, Format] = {
    **dict.fromkeys(("data.pkl", ".pt", ".pth", ".ckpt", ".safetensors", "pytorch_model.bin"), _TORCH),
    **dict.fromkeys((".keras", ".h5", ".hdf5"), _KERAS),
    **dict.fromkeys((".pb", ".tflite"), _TENSORFLOW),
    **dict.fromkeys((".pdmodel", ".pdiparams"), _PADDLE),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), _PICKLE),
    **dict.fromkeys((".mlmodel", ".mlpackage"), _COREML),
    **dict.fromkeys((".engine", ".plan", ".trt"), _TENSORRT),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"), _ARCHIVE),
}
# What files of these formats have at a place of their first bytes.
_MARKS: tuple[tuple[int, bytes, Format], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", _KERAS),
    (4, b"TFL3", _TENSORFLOW),
    (8, b'{"', _TORCH),  # safetensors, after the length of its header
    (0, b"\x80", _PICKLE),
    (0, b"<?xml", _OPENVINO),
    *(
        (0, mark, _ARCHIVE)
        for mark in (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ", b"BZh")
    ),
    (257, b"ustar", _ARCHIVE),  # tar, after the name of the first file
    (0, b"version https://git-lfs", _LFS),
    *((0, mark, _PAGE) for mark in (b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML")),
)
MARK_BYTES = 262
"""First bytes by which a format is recognised."""


def by_name(name: str) -> Format | None:
    """Whose model a file is by its name, and what to do; None if the name says nothing."""
    return next((one for end, one in _ENDS.items() if name.lower().endswith(end)), None)


def by_bytes(start: bytes) -> Format | None:
    """The same by the first bytes of a file that is no ONNX model."""
    return next((one for place, mark, one in _MARKS if start.startswith(mark, place)), None)
