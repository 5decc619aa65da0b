"""Classifiers of scikit-learn and XGBoost on the pixels of small images."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from onnxmltools.convert import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as BoostFloats
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

from tools.real_models.makers.case import Array, Case, Maker, opened, run, samples

SIDE = 8
CLASSES = 4
_PREPROCESSING = {"size": SIDE, "resize": "stretch", "interpolation": "bilinear", "scale": 1 / 255}


def _pixels(image: Any, depth: int) -> Array:
    """An image as a row of numbers from 0 to 1, shape [8 * 8 * depth]."""
    small = image.convert("L" if depth == 1 else "RGB").resize((SIDE, SIDE), 2)
    return (np.asarray(small).astype(np.float32) * np.float32(1 / 255)).flatten()


def _data(case: Case, depth: int) -> tuple[Array, Array]:
    """Parts of the photographs, and classes by their brightness and the side on which they are brighter."""
    rows = np.stack([_pixels(part, depth) for part in samples(case.photographs)])
    half = rows.shape[1] // 2
    bright = rows.mean(1) > np.median(rows.mean(1))
    above = rows[:, :half].mean(1) - rows[:, half:].mean(1)
    return rows, bright * 2 + (above > np.median(above))


def _write(case: Case, what: str, classifier: Any, model: Any, depth: int, **options: Any) -> None:
    case.path("model.onnx").write_bytes(model.SerializeToString())
    said = {**_PREPROCESSING, "channels": "L" if depth == 1 else "RGB"}
    case.path("preprocessing.json").write_text(json.dumps(said))

    def answer(photograph: Any) -> Array:
        probabilities: Array = classifier.predict_proba(_pixels(opened(photograph), depth)[None])[0]
        return probabilities

    case.save(what, answer, preprocessing="preprocessing.json", **options)


def _fitted(
    what: str,
    make_classifier: Callable[[], Any],
    *,
    depth: int = 1,
    zipmap: bool = True,
    texts: bool = False,
    expected: bool = True,
) -> Maker:
    def make(case: Case) -> None:
        rows, targets = _data(case, depth)
        names = np.array(["dark", "dark above", "light", "light above"])
        classifier = make_classifier().fit(rows, names[targets] if texts else targets)
        free = [("input", FloatTensorType([None, rows.shape[1]]))]
        options = {} if zipmap else {"options": {"zipmap": False}}
        model = to_onnx(classifier, initial_types=free, **options)
        shown = [str(name) for name in classifier.classes_] if texts else None
        _write(case, what, classifier, model, depth, names=shown, expected=expected)

    return make


def boosted(case: Case) -> None:
    """Trees of XGBoost."""
    rows, targets = _data(case, 1)
    classifier = XGBClassifier(n_estimators=10, max_depth=3).fit(rows, targets)
    model = convert_xgboost(classifier, initial_types=[("input", BoostFloats([None, rows.shape[1]]))])
    _write(case, "XGBClassifier on 8 x 8 grey pixels", classifier, model, 1)


def _regression() -> Any:
    return LogisticRegression(max_iter=500)


CASES: dict[str, Maker] = {
    "logistic": _fitted("LogisticRegression, 8 x 8 grey, ZipMap", _regression),
    "logistic_texts": _fitted("LogisticRegression, labels as text, ZipMap", _regression, texts=True),
    "logistic_bare": _fitted("LogisticRegression, zipmap=False", _regression, zipmap=False),
    "logistic_colour": _fitted("LogisticRegression, 8 x 8 x 3 pixels", _regression, depth=3),
    "scaled": _fitted(
        "StandardScaler, LogisticRegression", lambda: make_pipeline(StandardScaler(), _regression())
    ),
    "forest": _fitted("RandomForestClassifier, ZipMap", lambda: RandomForestClassifier(20, random_state=1)),
    "forest_bare": _fitted(
        "RandomForestClassifier, zipmap=False",
        lambda: RandomForestClassifier(20, random_state=1),
        zipmap=False,
    ),
    "tree": _fitted("DecisionTreeClassifier", lambda: DecisionTreeClassifier(max_depth=4, random_state=1)),
    "gradient": _fitted(
        "GradientBoostingClassifier", lambda: GradientBoostingClassifier(n_estimators=5, random_state=1)
    ),
    "perceptron": _fitted(
        "MLPClassifier, labels as text",
        lambda: MLPClassifier((16,), max_iter=300, random_state=1),
        texts=True,
    ),
    "neighbours": _fitted("KNeighborsClassifier (Scan)", lambda: KNeighborsClassifier(5), expected=False),
    "bayes": _fitted("GaussianNB", GaussianNB),
    "vectors": _fitted("SVC, probability=True", lambda: SVC(probability=True, random_state=1)),
    "xgboost": boosted,
}

if __name__ == "__main__":
    run("scikit-learn", ("scikit-learn", "skl2onnx", "xgboost-cpu", "onnxmltools"), CASES)
