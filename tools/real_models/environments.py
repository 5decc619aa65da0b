"""The virtual environment of each tool, and the modules of `makers` that run in it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_TORCH = ("torch==2.13.0", "torchvision==0.28.0", "onnx==1.23.2", "onnxscript==0.7.2", "pillow")
# The service's runtime: with integers of 16 bits as activations, the next version answers otherwise by 0.02.
_RUNTIME = ("onnx==1.23.2", "onnxruntime==1.31.1", "sympy", "pillow")
REQUIREMENTS: Mapping[str, tuple[str, ...]] = {
    "torch": _TORCH,
    "torch_newest": ("torch", "torchvision", "onnx", "onnxscript", "pillow"),
    "timm": (*_TORCH, "timm==1.0.31"),
    "transformers": (*_TORCH, "transformers==4.57.6", "onnxruntime==1.31.1", "sympy"),
    "ultralytics": (*_TORCH, "ultralytics==8.4.190", "onnxslim", "onnxruntime==1.31.1"),
    "fastai": (*_TORCH, "fastai==2.8.12"),
    "onnxruntime": (
        *_RUNTIME,
        "onnxconverter-common==1.16.0",
        "onnxsim==0.8.1",
        "onnx-ir",
        "opencv-python-headless",
    ),
    "keras": ("tensorflow-cpu==2.21.0", "keras==3.15.1", "tf2onnx==1.17.0", "onnx", "pillow"),
    "sklearn": ("scikit-learn", "skl2onnx==1.20.0", "xgboost-cpu", "onnxmltools", "packaging", "pillow"),
    "paddle": (
        "paddlepaddle==3.3.1",
        "paddle2onnx==2.1.0",
        "onnx-graphsurgeon",
        "onnx",
        "packaging",
        "pillow",
    ),
    "mlflow": (*_RUNTIME, "mlflow-skinny==3.17.2", "pandas"),
    "lobe": (*_RUNTIME, "matplotlib", "requests"),
}
"""What pip installs, by the name of the environment."""

# Of 2022: it asks for a Pillow that later Pythons have no package of, and works with today's.
_WITHOUT_REQUIREMENTS: Mapping[str, tuple[str, ...]] = {"lobe": ("lobe==0.6.2",)}

MODULES: Mapping[str, str] = {
    "torch_export": "torch",
    "torch_newest": "torch_newest",
    "torch_outputs": "torch",
    "torch_inputs": "torch",
    "torchvision_models": "torch",
    "timm_models": "timm",
    "transformers_models": "transformers",
    "fusions": "transformers",
    "onnxruntime_models": "onnxruntime",
    "services": "onnxruntime",
    "frameworks": "onnxruntime",
    "keras_models": "keras",
    "ultralytics_models": "ultralytics",
    "fastai_models": "fastai",
    "paddle_models": "paddle",
    "sklearn_models": "sklearn",
    "mlflow_models": "mlflow",
    "lobe_models": "lobe",
}
"""The environment of each module of `makers`."""

# No tool asks a hub or sends statistics: what would go out goes to a port that nobody listens on.
_OFFLINE = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
    "HF_HUB_OFFLINE": "1",
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "CUDA_VISIBLE_DEVICES": "",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def interpreter(name: str, folder: Path) -> Path:
    """The Python of an environment, which is made the first time, with the package registry's help.

    Args:
        name: of the environment.
        folder: where environments are kept.

    Raises:
        CalledProcessError: a package cannot be installed.
    """
    home = folder / name
    python, done = home / "bin" / "python", home / "requirements.txt"
    alone = _WITHOUT_REQUIREMENTS.get(name, ())
    wanted = "\n".join((*REQUIREMENTS[name], *alone)) + "\n"
    if not done.exists() or done.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)  # noqa: S603 - our own command
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-compile"]
        subprocess.run([*install, *REQUIREMENTS[name]], check=True)  # noqa: S603 - constants
        if alone:
            subprocess.run([*install, "--no-deps", *alone], check=True)  # noqa: S603 - constants
        done.write_text(wanted)
    return python


def make(module: str, work: Path, photographs: Path) -> None:
    """Run a module of `makers` in its environment; it makes the cases that are not there yet.

    Args:
        module: its name.
        work: the folder of environments and cases.
        photographs: the folder of the images that are asked about.

    Raises:
        CalledProcessError: the module as a whole failed.
    """
    python = interpreter(MODULES[module], work / "environments")
    arguments = ["--out", str(work / "cases" / module), "--photographs", str(photographs)]
    home = work / "home"
    home.mkdir(parents=True, exist_ok=True)
    subprocess.run(  # noqa: S603 - a module of our own
        [str(python), "-m", "tools.real_models.makers.start", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **_OFFLINE, "YOLO_CONFIG_DIR": str(home), "MPLCONFIGDIR": str(home)},
        check=True,
    )
