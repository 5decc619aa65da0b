"""Masks hide what they say, and the fit is the one that the textbook gives."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from predictor.explaining import methods

SIDE = 70


def scene(dtype: str = "float32", depth: int = 3) -> npt.NDArray[Any]:
    """Noise, channels last."""
    return np.random.default_rng(1).integers(0, 100, (SIDE, SIDE, depth)).astype(dtype)


def test_patterns() -> None:
    """About half of the cells are shown, the same ones for the same seed."""
    shown = methods.patterns(256, seed=7)

    assert shown.shape == (256, 49)
    assert set(shown.ravel()) == {0.0, 1.0}
    assert 0.47 < shown.mean() < 0.53
    assert (shown == methods.patterns(256, seed=7)).all()
    assert (shown != methods.patterns(256, seed=8)).any()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16", "float32"])
def test_hidden(dtype: str) -> None:
    """A mask that shows all is the image, one that hides all is the blurred image, of the same type."""
    image = scene(dtype)
    masker = methods.Masker(image, "NHWC")

    whole, hidden = masker.hidden(np.ones(49)), masker.hidden(np.zeros(49))

    assert whole.dtype == hidden.dtype == image.dtype
    assert np.abs(whole.astype(float) - image.astype(float)).max() <= 0.1
    assert hidden.astype(float).std() < 0.3 * image.astype(float).std()
    assert abs(hidden.astype(float).mean() - image.astype(float).mean()) < 2


def test_layouts() -> None:
    """The same is hidden whichever axis has the channels."""
    image, pattern = scene(), methods.patterns(1, 0)[0]

    last = methods.Masker(image, "NHWC").hidden(pattern)
    first = methods.Masker(image.transpose(2, 0, 1), "NCHW").hidden(pattern)

    assert np.allclose(first.transpose(1, 2, 0), last)


def test_where() -> None:
    """Only the cells that are not shown change, and their neighbours' edges."""
    image, pattern = scene(), np.ones(49)
    pattern[7 * 2 + 4] = 0
    changed = np.abs(methods.Masker(image, "NHWC").hidden(pattern) - image).max(axis=2) > 0.5

    rows, columns = np.nonzero(changed)
    assert 10 <= rows.min() < rows.max() < 40
    assert 30 <= columns.min() < columns.max() < 60


def test_fit() -> None:
    """The weights are those of ridge regression with a penalty of 1, solved in another way."""
    random = np.random.default_rng(0)
    shown, values = methods.patterns(256, 0), random.normal(size=256)

    cells = np.vstack([shown - shown.mean(axis=0), np.eye(49)])
    expected, *_ = np.linalg.lstsq(cells, np.concatenate([values - values.mean(), np.zeros(49)]))

    assert np.allclose(methods.fit(shown, values).grid.ravel(), expected)


def test_fidelity() -> None:
    """The fidelity is R2 of leaving out each mask in turn, and fitting the others anew."""
    random = np.random.default_rng(0)
    shown = methods.patterns(128, 0)
    values = shown @ random.normal(size=49) + random.normal(size=128)
    errors = []
    for left in range(128):
        others = np.arange(128) != left
        # The mean of all stays, as the influence of one value on it is counted apart.
        cells, known = shown[others], values[others]
        centred = cells - cells.mean(axis=0)
        weights = np.linalg.solve(centred.T @ centred + np.eye(49), centred.T @ (known - known.mean()))
        errors.append(values[left] - known.mean() - (shown[left] - cells.mean(axis=0)) @ weights)

    expected = 1 - np.square(errors).sum() / np.square(values - values.mean()).sum()

    assert methods.fit(shown, values).fidelity == pytest.approx(expected, abs=0.01)


def test_noise() -> None:
    """Noise is foretold by nothing, and neither is what never changes."""
    shown = methods.patterns(256, 0)

    assert methods.fit(shown, np.random.default_rng(3).normal(size=256)).fidelity < 0.05
    assert methods.fit(shown, np.full(256, 0.3)).fidelity == 0
    assert np.abs(methods.fit(shown, np.full(256, 0.3)).grid).max() < 1e-12


def test_linear() -> None:
    """What is linear is found."""
    true = np.zeros(49)
    true[10], true[30] = 0.5, -0.25
    found = methods.fit(methods.patterns(256, 0), 0.4 + methods.patterns(256, 0) @ true)

    assert found.fidelity > 0.99
    assert np.abs(found.grid.ravel() - true).max() < 0.02
