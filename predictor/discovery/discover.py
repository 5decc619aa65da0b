"""An ONNX file's own words, what its nodes show and what came beside it -> ModelSpec.

What came beside the file wins over its metadata, metadata win over what the nodes show, and that wins over
stated defaults. Each choice has a reason, and each default a warning.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from predictor.discovery import activation
from predictor.discovery.configs.apps import of_teachable_machine
from predictor.discovery.configs.declared import DeclaredPreprocessing
from predictor.discovery.configs.huggingface import is_multi_label
from predictor.discovery.configs.read import PREPROCESSING, as_invalid_model, from_metadata, from_text
from predictor.discovery.resolve import Resolved, resolve
from predictor.discovery.signature import InputLayout, class_scores, image_input, input_layout
from predictor.errors import InvalidModel
from predictor.model import labels
from predictor.model.label import cut, repeated
from predictor.model.spec import NOTHING_SEEN, Graph, ModelSpec, Structure

LABELS, ACTIVATION = labels.KEY, activation.KEY
__all__ = ["ACTIVATION", "LABELS", "PREPROCESSING", "agree", "discover", "recalled"]


def discover(
    graph: Graph,
    labels_text: str | None = None,
    preprocessing_text: str | None = None,
    structure: Structure | None = None,
) -> ModelSpec:
    """Find out how to feed a model and read its answer.

    Args:
        graph: what the file says of itself.
        labels_text: labels that came beside the file, in any form that `labels.parse` reads.
        preprocessing_text: the preprocessing that came beside it, in any form that `configs.read` reads.
        structure: what its nodes show; None where nobody looked.

    Raises:
        InvalidModel: the graph is no image classifier, or what was said cannot be used or contradicts it.
    """
    seen = structure or NOTHING_SEEN
    image = image_input(graph)
    layout = input_layout(image, seen)
    declared, resolved = _resolved(
        _declared(preprocessing_text, labels_text, graph.metadata, image.name, layout), layout, seen
    )
    names = labels.read(labels_text, graph.metadata)
    scores, why = class_scores(graph, seen, declared.output, len(names.labels) or None)
    names = labels.fit(names, scores.columns)
    last = seen.last.get(scores.name)
    chosen = activation.choose(declared, graph.metadata, last, beside=preprocessing_text is not None)
    reasons = {
        "preprocessing": _reason(declared, beside=preprocessing_text is not None),
        "activation": chosen.reason,
        "labels": names.reason,
        **resolved.reasons,
    }
    spec = ModelSpec(
        image=image,
        scores=scores,
        preprocessing=resolved.preprocessing,
        activation=chosen.activation,
        labels=names.labels,
        reasons=reasons if len(graph.outputs) == 1 else {**reasons, "scores": why},
        multi_label=chosen.multi_label,
        binary=scores.columns == 1,
        warnings=(*resolved.warnings, *names.warnings, *cut(names.labels), *repeated(names.labels)),
        evidence=chosen.evidence,
    )
    agree(spec, graph)
    return spec


def recalled(report: Mapping[str, Any], labels_text: str | None, graph: Graph) -> ModelSpec:
    """What the check of a model found out, for its graph that is loaded again.

    Args:
        report: the check's report.
        labels_text: labels that came beside the file.
        graph: what the file says of itself.

    Raises:
        InvalidModel: they contradict each other.
    """
    classes = report.get("classes")
    # Before one score told two classes apart, it was reported as one class.
    if report.get("binary") or classes == 1:
        report = {**report, "binary": True, "classes": 2, "multi_label": False}
        classes = 1
    spec = ModelSpec.from_json(report, labels.find(labels_text, graph.metadata, classes).labels)
    agree(spec, graph)
    return spec


def agree(spec: ModelSpec, graph: Graph) -> None:
    """Make sure that a spec fits the tensors of a graph.

    Raises:
        InvalidModel: they contradict each other.
    """
    if spec.image not in graph.inputs or spec.scores not in graph.outputs:
        raise InvalidModel("The model's inputs or outputs differ from those in its check.")
    wanted = spec.preprocessing.shape
    if any(n is not None and n != m for n, m in zip(spec.image.shape[1:], wanted, strict=True)):
        raise InvalidModel("The preprocessing gives a different shape than the model's input has.")
    if spec.image.dtype != spec.preprocessing.dtype:
        raise InvalidModel("The preprocessing gives a different element type than the model's input has.")
    scores = spec.scores.columns
    if scores is not None and scores != (1 if spec.binary else len(spec.labels)):
        raise InvalidModel(f"The model has {scores} classes, but {len(spec.labels)} labels came with it.")


def _declared(
    text: str | None,
    labels_text: str | None,
    metadata: Mapping[str, str],
    input_name: str,
    layout: InputLayout,
) -> DeclaredPreprocessing:
    """What was said about the images, and about the scores."""
    size = layout.height, layout.width
    if text is None:
        declared = from_metadata(metadata, size)
        if declared.silent and layout.depth == 3 and layout.height and layout.height == layout.width:
            teachable = of_teachable_machine(input_name, labels_text, layout.height)
            declared = teachable or declared
    else:
        with as_invalid_model("The preprocessing"):
            declared = from_text(text, size)
        if declared.silent and not declared.exact:
            inside = from_metadata(metadata, size)
            declared = dataclasses.replace(inside, warnings=(*declared.warnings, *inside.warnings))
    if declared.activation is None and any(map(is_multi_label, (labels_text, metadata.get("config.json")))):
        return dataclasses.replace(declared, activation="sigmoid", multi_label=True)
    return declared


def _resolved(
    declared: DeclaredPreprocessing, layout: InputLayout, seen: Structure
) -> tuple[DeclaredPreprocessing, Resolved]:
    """The preprocessing, and what was used for it: metadata of another tool that do not fit are not."""
    try:
        return declared, resolve(declared, layout, seen)
    except InvalidModel as error:
        if not declared.foreign:
            raise
        warning = f"{error.detail} It is passed over."
        used = dataclasses.replace(declared, values={}, warnings=(*declared.warnings, warning))
        return used, resolve(used, layout, seen)


def _reason(declared: DeclaredPreprocessing, *, beside: bool) -> str:
    if declared.silent and not declared.exact:
        return "No preprocessing came with the model: values that the graph does not show are assumed."
    if declared.exact:
        return labels.BESIDE if beside else labels.IN_METADATA
    return f"Read from {declared.source}" + (", which came with the model." if beside else ".")
