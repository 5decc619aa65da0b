"""Predict on the nodes of a Ray cluster. The only user of ray, which may be missing.

Plain actors and not Ray Data: the shards and their marks are our own, because only they make one row for each
input of a run that was killed, and then all that is left to do is to hand out lists of names. No task of Ray
lists or reads inputs, so none can wait for resources that the actors hold.
"""

import dataclasses
import hashlib
import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from predictor import __version__
from predictor.bulk.actor_pool import ActorPool, Rows
from predictor.bulk.processes import Local
from predictor.bulk.rows import Row
from predictor.bulk.shards import Chunk
from predictor.errors import InvalidModel, InvalidRequest, NotReady
from predictor.evaluation.runner import parallel_map
from predictor.model import device

_SECONDS = 10.0  # to connect
_THREADS = 4  # images at a time in a process: some are downloaded or read while another is predicted


@dataclass(frozen=True)
class Cluster:
    """What of a cluster is used.

    Attributes:
        address: `ray://host:10001`, `host:6379` or `auto`.
        processes: how many predict; None for one on each CPU, or as many as the GPUs have room for.
        gpus: of each process, such as 0.25; 0 for the CPU.
    """

    address: str
    processes: int | None = None
    gpus: float = 0.0


class Process:
    """A process of the cluster with the model loaded: the same code as in a process of a local run."""

    def begin(self, version: str, packed: list[Any], probe: str | None, *, gpu: bool) -> None:
        """Load the model.

        Args:
            version: of this package where the run was started.
            packed: the reference to what `_packed` made.
            probe: a file that must be seen here.
            gpu: whether it runs on the GPU that Ray gave to this process.

        Raises:
            NotReady: the version is another, the file is not here, or the GPU cannot be used.
            InvalidModel: the model came damaged, or cannot be loaded.
        """
        if version != __version__:
            raise NotReady(f"A node of the cluster has version {__version__} instead of {version}.")
        if probe is not None and not Path(probe).exists():
            raise NotReady(
                "A node of the cluster does not see the images. Put them on a file system that all nodes "
                "have under the same path, or give a bucket or URLs."
            )
        local, files = _library().get(packed[0])
        with tempfile.TemporaryDirectory() as folder:
            path = _unpacked(files, Path(folder))
            where = device.choose("cuda" if gpu else "cpu")
            self._work = dataclasses.replace(
                local, model=dataclasses.replace(local.model, path=path, device=where)
            ).work()

    def rows(self, names: tuple[str, ...]) -> list[Row]:
        """Predict images; their rows in the order of the names.

        Raises:
            PredictorError: nothing can be predicted, whatever the images are.
        """
        return list(parallel_map(self._work, names, _THREADS))


def _packed(local: Local) -> tuple[Local, dict[str, tuple[str, bytes]]]:
    """What a process needs, with the files of the model and their digests, without a service's secrets."""
    read = {path.name: path.read_bytes() for path in local.model.files}
    files = {name: (hashlib.sha256(data).hexdigest(), data) for name, data in read.items()}
    settings = dataclasses.replace(local.settings, admin_token=None, predict_token=None, cache="off")
    return dataclasses.replace(local, settings=settings), files


def _unpacked(files: dict[str, tuple[str, bytes]], folder: Path) -> Path:
    """Write the files of a model; the path of its graph, which is the first."""
    for name, (digest, data) in files.items():
        if hashlib.sha256(data).hexdigest() != digest:
            raise InvalidModel("The model came damaged to a node of the cluster.")
        (folder / name).write_bytes(data)
    return folder / next(iter(files))


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The module `ray`, connected to a cluster that runs.

    Raises:
        InvalidRequest: ray is missing.
        NotReady: the cluster cannot be reached or used.
    """
    # What Ray's own threads say of each try is of no use to a person.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray = _library()
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, AssertionError, ray.exceptions.RayError) as error:
        raise NotReady(_why(error)) from error
    try:
        yield ray
    except ConnectionError as error:
        raise NotReady("The connection to the Ray cluster was lost.") from error
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Connect to an address and hang up: Ray itself tries for minutes where nothing listens.

    Raises:
        OSError, ValueError: nothing listens.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), _SECONDS).close()


def _why(error: BaseException) -> str:
    """What a person can do about a cluster that does not let this process in."""
    said = f"{error} {error.__cause__}".lower()
    if "version mismatch" in said:
        return "The cluster has another version of Ray or Python than this machine."
    if "token" in said:
        return (
            "The Ray cluster asks for a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or "
            "RAY_AUTH_TOKEN_PATH, as on its nodes."
        )
    return (
        "No Ray cluster can be reached at this address. An address host:port and `auto` are for the nodes of "
        "a cluster; elsewhere use ray://host:10001. The reason was: "
        + (str(error).strip().partition("\n")[0] or type(error).__name__)
    )


def _library() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise InvalidRequest("--cluster needs Ray: pip install 'image-prediction-api[ray]'.") from error
    return ray


def predicted(ray: Any, cluster: Cluster, local: Local, chunks: Iterator[Chunk], probe: str | None) -> Rows:
    """Predict chunks; each with its rows, as they come.

    A process that dies, or its node, is replaced, and what it had is predicted again. A chunk with which
    processes die is halved until the image is found, which then has a row with an error.

    Args:
        ray: what `connected` gave.
        cluster: what of it is used.
        local: the model and the options.
        chunks: what to predict; they are taken as rows are read.
        probe: a file that each node must see.

    Raises:
        PredictorError: nothing can be predicted, whatever the images are.
    """
    packed = [ray.put(_packed(local))]
    options = {"num_cpus": 1, "num_gpus": cluster.gpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
    remote = ray.remote(**options)(Process)

    def make() -> tuple[Any, Any]:
        actor = remote.remote()
        return actor, actor.begin.remote(__version__, packed, probe, gpu=cluster.gpus > 0)

    yield from ActorPool(ray, make, cluster.processes or _room(ray, cluster.gpus)).run(chunks)


def _room(ray: Any, gpus: float) -> int:
    """How many processes a cluster has room for, at least 1."""
    there = ray.cluster_resources()
    rooms = [there.get("CPU", 0), *([there.get("GPU", 0) / gpus] if gpus else [])]
    return max(1, int(min(rooms)))
