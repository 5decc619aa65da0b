"""A calibration is read as it was written, refused where it does not fit, and changes confidences."""

import dataclasses
import json

import numpy as np
import pytest

from predictor.errors import Internal, InvalidModel
from predictor.image.preprocess import Preprocessing
from predictor.model.calibration import Calibration
from predictor.model.labels import numbered
from predictor.model.scores import answered, as_answered, logits, rank
from predictor.model.spec import Activation, ModelSpec, Tensor, calibrated


def spec_of(activation: Activation, classes: int = 3, *, multi_label: bool = False) -> ModelSpec:
    """A model of some classes; with one class, one score tells two apart."""
    return ModelSpec(
        image=Tensor("image", "float32", (None, 3, 8, 8)),
        scores=Tensor("scores", "float32", (None, classes)),
        preprocessing=Preprocessing(height=8, width=8),
        activation=activation,
        labels=numbered(max(2, classes)),
        multi_label=multi_label,
        binary=classes == 1,
    )


def with_calibration(spec: ModelSpec, **values: object) -> ModelSpec:
    """The same, calibrated."""
    return calibrated(spec, json.dumps(values))


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": 1.5},
        {"temperatures": [0.5, 1.0, 2.0], "threshold": 0.3},
        {"temperature": 2, "thresholds": [0.1, 0.2, 0.3]},
        {},
    ],
)
def test_form(values: dict[str, object]) -> None:
    """What is written is what was read."""
    read = Calibration.parse(json.dumps(values), 3, independent=True)

    assert Calibration.parse(read.text(), 3, independent=True) == read
    assert read.to_json().items() >= values.items()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1]", "must be a JSON object"),
        ("{", "invalid"),
        ('{"temperature": NaN}', "NaN"),
        ('{"temperature": 0}', "from 0.05 to 20"),
        ('{"temperature": true}', "must be a number"),
        ('{"temperature": "1"}', "must be a number"),
        ('{"temperature": 1, "temperatures": [1, 1, 1]}', "either"),
        ('{"temperatures": [1, 1]}', "3 numbers"),
        ('{"temperatures": 3}', "3 numbers"),
        ('{"threshold": 1.1}', "from 0 to 1"),
        ('{"thresholds": [0.1, 0.2, -0.1]}', "from 0 to 1"),
        ('{"bias": 1}', "bias is not a field"),
    ],
)
def test_refused(text: str, sentence: str) -> None:
    """What does not fit is refused, and the sentence says what."""
    with pytest.raises(InvalidModel, match=sentence):
        Calibration.parse(text, 3, independent=True)


def test_classes_not_known_yet() -> None:
    """Before the number of classes is known, a list may have any length, and must be a list of numbers."""
    read = Calibration.parse('{"temperatures": [1, 2]}', None, independent=True)

    assert read.temperatures == (1.0, 2.0)
    with pytest.raises(InvalidModel, match="a list of numbers, one for each class"):
        Calibration.parse('{"thresholds": {"cat": 0.5}}', None, independent=True)


def test_temperatures_of_classes_that_exclude_each_other() -> None:
    """Classes that exclude each other share a temperature: one for each would change the answers."""
    with pytest.raises(InvalidModel, match="independent"):
        Calibration.parse('{"temperatures": [1, 2, 3]}', 3, independent=False)


@pytest.mark.parametrize(
    ("activation", "classes", "multi_label"),
    [
        ("softmax", 3, False),
        ("sigmoid", 3, True),
        ("none", 3, False),
        ("none", 3, True),
        ("sigmoid", 1, False),
        ("none", 1, False),
    ],
)
def test_temperature_of_one(activation: Activation, classes: int, multi_label: bool) -> None:
    """A temperature of 1 changes no confidence, of whatever kind the scores are; 2 makes them less sure."""
    spec = spec_of(activation, classes, multi_label=multi_label)
    scores = np.array([0.7, 0.2, 0.1][:classes], np.float32)

    same = answered(scores, with_calibration(spec, temperature=1), 5)
    less = answered(scores, with_calibration(spec, temperature=2), 5)

    plain = rank(scores, activation, 5)
    assert [(index, raw) for index, _, raw in same] == plain  # type: ignore[misc]
    assert [one[1] for one in same] == pytest.approx([confidence for _, confidence in plain], abs=1e-6)
    assert less[0][0] == plain[0][0]
    assert abs(less[0][1] - 0.5) < abs(plain[0][1] - 0.5) or plain[0][1] < 0.5


def test_kept_answers() -> None:
    """An answer comes back from the cache as it went in, and one of another form does not."""
    spec = with_calibration(spec_of("softmax"), temperature=2)
    found = answered(np.array([2.0, 1.0, 0.5]), spec, 2)

    kept = json.loads(json.dumps(found))
    assert as_answered(kept, spec, 2) == found
    assert as_answered([one[:2] for one in kept], spec, 2) is None
    assert as_answered(kept, dataclasses.replace(spec, calibration=None), 2) is None
    assert as_answered([[*one[:2], "x"] for one in kept], spec, 2) is None
    assert as_answered("x", spec, 2) is None


def test_certain_scores() -> None:
    """Probabilities of 0 and 1 have logits that a temperature can divide."""
    for spec in (spec_of("none"), spec_of("none", multi_label=True)):
        found = answered(np.array([1.0, 0.0, 0.0], np.float32), with_calibration(spec, temperature=2), 3)

        assert np.isfinite(logits(np.array([1.0, 0.0, 0.0]), spec)).all()
        assert found[0][0] == 0
        assert found[0][1] == pytest.approx(1.0, abs=1e-6)


def test_not_a_number() -> None:
    """Scores that are no numbers are no answer, with a calibration or without."""
    with pytest.raises(Internal, match="not numbers"):
        answered(np.array([np.nan, 1.0, 0.0]), with_calibration(spec_of("softmax"), temperature=2), 3)


def test_threshold() -> None:
    """A class has its own threshold, that of all classes, or none."""
    assert Calibration(thresholds=(0.1, 0.2)).threshold(1) == 0.2
    assert Calibration(thresholds=(0.4,)).threshold(7) == 0.4
    assert Calibration().threshold(0) == 0.0
