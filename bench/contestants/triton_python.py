# /// script
# dependencies = ["nvidia-pytriton", "numpy", "onnxruntime", "pillow"]
# [tool.bench]
# name = "Triton, Python backend"
# command = ["-m", "bench.contestants.triton_python", "{port}", "{folder}"]
# path = "/v2/models/default/infer"
# form = "v2"
# ///
"""Triton's own server, as a package ships it, with two instances of a Python model: images in, classes out.

The server loads `model.py`, which is this file, into the interpreter of a process of each instance. That
interpreter is the system's (libpython3.11) and reads no environment. So the module that it imports first is
told where the packages are.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

_CONFIG = """
name: "default"
backend: "python"
max_batch_size: 0
input [{name: "image" data_type: TYPE_STRING dims: [1]}]
output [{name: "index" data_type: TYPE_INT64 dims: [5]}, {name: "confidence" data_type: TYPE_FP32 dims: [5]}]
instance_group [{count: 2 kind: KIND_CPU}]
"""


class TritonPythonModel:
    """What Triton asks of a model; one instance in a process."""

    def initialize(self, args: Any) -> None:  # noqa: ARG002 (Triton's signature)
        """Load the model."""
        from bench.contestants.classifier import Classifier

        self.classify = Classifier()

    def execute(self, requests: Any) -> list[Any]:
        """Say what is on the image of each request."""
        import numpy as np
        import triton_python_backend_utils as triton

        answers = []
        for request in requests:
            image = triton.get_input_tensor_by_name(request, "image").as_numpy()[0]
            best = self.classify(image)["predictions"]
            index = np.array([each["index"] for each in best], np.int64)
            confidence = np.array([each["confidence"] for each in best], np.float32)
            tensors = [triton.Tensor("index", index), triton.Tensor("confidence", confidence)]
            answers.append(triton.InferenceResponse(tensors))
        return answers


def _main(port: str, folder: Path) -> None:
    """Write the repository of models, and become the server."""
    package = next(Path(path) for path in sys.path if Path(path, "pytriton").is_dir())
    server = package / "pytriton" / "tritonserver"
    model = folder / "models" / "default"
    shutil.rmtree(folder, ignore_errors=True)
    (model / "1").mkdir(parents=True)
    shutil.copy(__file__, model / "1" / "model.py")
    (model / "config.pbtxt").write_text(_CONFIG)
    stub = server / "python_backend_stubs" / f"{sys.version_info[0]}.{sys.version_info[1]}"
    backend = folder / "backends" / "python"
    shutil.copytree(server / "backends" / "python", backend)
    shutil.copy(stub / "triton_python_backend_stub", backend)
    libraries = package / "nvidia_pytriton.libs"
    environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}
    first = backend / "triton_python_backend_utils.py"
    paths = [os.environ["PYTHONPATH"], str(package)]
    first.write_text(f"import sys\nsys.path[:0] = {paths!r}\n{first.read_text()}")
    options = [
        "--http-address=127.0.0.1",
        f"--http-port={port}",
        "--allow-grpc=false",
        "--allow-metrics=false",
    ]
    options += [f"--model-repository={folder / 'models'}", f"--backend-directory={folder / 'backends'}"]
    os.execve(server / "bin" / "tritonserver", ["tritonserver", *options], environment)


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
