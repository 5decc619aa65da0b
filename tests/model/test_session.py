"""A session runs batches, and binding the memory of a run changes none of its answers."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest

from predictor.config import BUNDLED_MODEL
from predictor.errors import Internal, NotReady
from predictor.model.device import Device
from predictor.model.session import Session, Stop, load
from tools import bad_models, sample_models

COLOURS = ["red", "green", "blue"]


def sessions(model: bytes) -> tuple[Session, Session]:
    """One that runs plainly, and one that binds the memory of its runs."""
    runtime = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return Session(runtime), Session(runtime, bind=True)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
@pytest.mark.parametrize("batch", [1, 3])
def test_bound(layout: sample_models.Layout, dtype: sample_models.DType, batch: int) -> None:
    """With and without binding, the scores are the same, in the same type and shape."""
    plain, bound = sessions(sample_models.classifier(COLOURS, layout=layout, dtype=dtype))
    shape = (batch, 3, 32, 32) if layout == "NCHW" else (batch, 32, 32, 3)
    pictures = np.random.default_rng(batch).integers(0, 100, shape).astype(dtype)

    expected, scores = plain.run(pictures), bound.run(pictures)

    assert (scores.dtype, scores.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(scores, expected)


def test_bound_views() -> None:
    """A batch that does not lie in one piece of memory is read as what it is."""
    plain, bound = sessions(BUNDLED_MODEL.read_bytes())
    pictures = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)[:, ::-1, :, ::-1]

    assert np.array_equal(bound.run(pictures), plain.run(pictures))


def test_bound_threads() -> None:
    """Runs of many threads at once do not meet in memory, and answers stay as they were."""
    plain, bound = sessions(sample_models.classifier(COLOURS))
    batches = [np.full((1 + n % 3, 3, 32, 32), n, np.float32) for n in range(60)]
    expected = [plain.run(batch) for batch in batches]

    with ThreadPoolExecutor(8) as pool:
        scores = list(pool.map(bound.run, batches))

    assert all(np.array_equal(one, other) for one, other in zip(scores, expected, strict=True))


def test_bound_open_shape() -> None:
    """A graph that does not say how many scores it gives is run without binding."""
    plain, bound = sessions(bad_models.wrong_labels_at_run())
    pictures = np.ones((2, 3, 32, 32), np.float32)

    assert plain.graph.outputs[0].shape[1] is None
    assert np.array_equal(bound.run(pictures), plain.run(pictures))


def test_bound_failure() -> None:
    """A run that fails or is stopped is an error with binding, too."""
    _, failing = sessions(bad_models.failing())
    _, bound = sessions(BUNDLED_MODEL.read_bytes())
    stop = Stop()
    stop()

    with pytest.raises(Internal):
        failing.run(np.ones((4, 3, 32, 32), np.float32))
    with pytest.raises(Internal):
        bound.run(np.zeros((1, 224, 224, 3), np.uint8), stop=stop)


def test_cuda_missing_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    """The list of the CUDA libraries that are missing stands in the log once, not at each new attempt."""
    for _ in range(3):
        with contextlib.suppress(NotReady):
            load(BUNDLED_MODEL, Device("cuda", None, "The GPU"))

    assert "".join(capfd.readouterr()).count("Please follow") <= 1
