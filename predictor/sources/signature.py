"""The OpenSSF signature of a model: whether a bundle is what the owner of a key has signed, file by file.

The package `model-signing` verifies it, in a process of its own (`python -m predictor.sources.signature`), so
that its many libraries stay out of the service.
"""

import base64
import importlib.util
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from predictor import background
from predictor.errors import ConfigError, InvalidModel

_COMMAND = (sys.executable, "-P", "-s", "-m", "predictor.sources.signature")
_SUFFIX = ".sig"
_SECONDS = 600.0
_LOGGED = 500  # bytes of what the process says
_SETTING = "PREDICTOR_SIGNING_KEY"
_NONE = (
    f"The model must be signed ({_SETTING} is set), but no file of it ends in .sig. Sign its folder with "
    "model_signing sign key, and send model.sig with the files."
)
_SEVERAL = "The model has several files that end in .sig; send the one that is its signature."
_OUTSIDE = (
    "The signature of the model lies in a folder beside other files; put it into the folder that it signs."
)
_WRONG = (
    "The signature does not fit: it is of another key, or a file of the model was changed, is missing or was "
    "added since it was signed."
)
_LAYOUT = "The files of the model cannot be laid out under their names, which their signature needs."

log = logging.getLogger(__name__)


def check_key(key: Path) -> None:
    """Whether signatures can be verified with a key.

    Raises:
        ConfigError: the file cannot be read, holds no public key, or the package is not installed.
    """
    try:
        text = key.read_bytes()
    except OSError as error:
        raise ConfigError(f"{_SETTING}={key} cannot be read: {error.strerror}.") from error
    if b"-----BEGIN PUBLIC KEY-----" not in text:
        raise ConfigError(
            f"{_SETTING}={key} cannot be used: it must be a PEM file with a public key of an elliptic curve "
            "(-----BEGIN PUBLIC KEY-----)."
        )
    if importlib.util.find_spec("model_signing") is None:
        raise ConfigError(f"{_SETTING} needs the package model-signing (pip install model-signing).")


def signed(files: Mapping[str, Path], key: Path, folder: Path) -> dict[str, Path]:
    """The files of a bundle that its signature is about.

    Args:
        files: where each file lies, by its path in the bundle.
        key: the public key.
        folder: on the file system of the files; something is written there for a moment.

    Raises:
        InvalidModel: there is no signature, or not one of the key for these files.
    """
    found = [name for name in files if name.lower().endswith(_SUFFIX)]
    if len(found) != 1:
        raise InvalidModel(_SEVERAL if found else _NONE)
    root = PurePosixPath(found[0]).parent
    if not all(PurePosixPath(name).is_relative_to(root) for name in files):
        raise InvalidModel(_OUTSIDE)
    signature = files[found[0]]
    names = {PurePosixPath(name).relative_to(root).as_posix(): name for name in files if name != found[0]}
    with tempfile.TemporaryDirectory(dir=folder) as laid:
        _lay_out({place: files[name] for place, name in names.items()}, Path(laid))
        covered = _covered(Path(laid), signature, key)
        if covered is None and len(names) == 1:  # a model alone, signed as the file that it is
            (alone,) = names
            covered = [alone] if _covered(Path(laid) / alone, signature, key) else None
    if covered is None:
        raise InvalidModel(_WRONG)
    return {names[place]: files[names[place]] for place in covered if place in names}


def _lay_out(files: Mapping[str, Path], folder: Path) -> None:
    """Put files under their names into a folder, where they take no room."""
    try:
        for place, path in files.items():
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)
    except OSError as error:
        raise InvalidModel(_LAYOUT) from error


def _covered(model: Path, signature: Path, key: Path) -> list[str] | None:
    """The paths of the files that a valid signature is about; None if it is not valid."""
    paths = [str(path.absolute()) for path in (model, signature, key)]
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(Path(__file__).parents[2])}
    try:
        done = background.run([*_COMMAND, *paths], environment, _SECONDS, stderr=subprocess.PIPE)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0:
        log.warning("A signature is not valid: %r", done.stderr[-_LOGGED:])
        return None
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return names


def main(model: str, signature: str, key: str) -> None:
    """Write the paths of the files that a signature is about, in JSON; fail if it is not valid."""
    from model_signing import verifying

    verifying.Config().use_elliptic_key_verifier(public_key=key).verify(model, signature)
    # The bundle is a DSSE envelope around a statement of in-toto, which names each file or each piece of one.
    envelope = json.loads(Path(signature).read_bytes())["dsseEnvelope"]
    resources = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["resources"]
    sys.stdout.write(json.dumps(sorted({one["name"].split(":")[0] for one in resources})))


if __name__ == "__main__":
    main(*sys.argv[1:])
