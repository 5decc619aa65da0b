"""An image as the body of a request, in the form that a server takes, and the class that its answer names."""

import base64
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# An image alone; the Open Inference Protocol with its binary extension; the same in JSON alone.
IMAGE, V2, V2_JSON = "image", "v2", "v2-json"
_BOUNDARY = "----------------image----------------"
# This service answers with the best classes in place of all scores; servers that do not know it ignore it.
_PARAMETERS = {"top_k": 5}


@dataclass(frozen=True)
class Request:
    """What is posted.

    Attributes:
        body: the bytes.
        headers: besides those of every request.
    """

    body: bytes
    headers: Mapping[str, str] = field(hash=False)


def request(image: bytes, form: str = IMAGE, copies: int = 1) -> Request:
    """A request with an image.

    Args:
        image: the encoded image.
        form: `image`, `v2` or `v2-json`.
        copies: more than one are sent as the files of a form.
    """
    if copies > 1:
        return _files(image, copies)
    if form == V2:
        return _binary(image)
    if form == V2_JSON:
        data = {"data": [base64.b64encode(image).decode()], "parameters": {"content_type": "base64"}}
        return Request(_json(data), {"Content-Type": "application/json"})
    return Request(image, {"Content-Type": "image/jpeg"})


def best_class(answer: dict[str, Any]) -> int:
    """The class that comes first in an answer of either protocol."""
    if "outputs" not in answer:
        return int(answer["predictions"][0]["index"])
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    if "index" in outputs:
        return int(outputs["index"][0])
    ((best, *_),) = outputs.values()  # `score:index:label`
    return int(str(best).split(":")[1])


def _files(image: bytes, copies: int) -> Request:
    head = (
        'Content-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    )
    part = f"--{_BOUNDARY}\r\n{head}".encode() + image + b"\r\n"
    body = part * copies + f"--{_BOUNDARY}--\r\n".encode()
    return Request(body, {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"})


def _binary(image: bytes) -> Request:
    data = struct.pack("<I", len(image)) + image
    head = _json({"parameters": {"binary_data_size": len(data)}})
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return Request(head + data, headers)


def _json(tensor: Mapping[str, object]) -> bytes:
    described = {"name": "image", "shape": [1], "datatype": "BYTES", **tensor}
    return json.dumps({"parameters": _PARAMETERS, "inputs": [described]}).encode()
