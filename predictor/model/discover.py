"""An ONNX file's own words -> ModelSpec, with the reason for each choice.

Metadata of the form that this service writes (`predictor.labels`, `predictor.preprocessing`,
`predictor.activation`) says everything; without it a model cannot be served.
"""

import json

from predictor.errors import InvalidModel
from predictor.image.preprocess import Preprocessing
from predictor.model import labels
from predictor.model.spec import ACTIVATIONS, Activation, Graph, ModelSpec, Tensor

LABELS, PREPROCESSING, ACTIVATION = "predictor.labels", "predictor.preprocessing", "predictor.activation"
_FROM_METADATA = "Read from the model's metadata."


def discover(graph: Graph) -> ModelSpec:
    """Find out how to feed a model and read its answer.

    Raises:
        InvalidModel: the graph is no image classifier, or its metadata is missing or contradicts the graph.
    """
    image, scores = _image_input(graph), _class_scores(graph)
    spec = ModelSpec(
        image=image,
        scores=scores,
        preprocessing=_preprocessing(graph),
        activation=_activation(graph),
        labels=labels.parse(_metadata(graph, LABELS)),
        reasons=dict.fromkeys(("preprocessing", "activation", "labels"), _FROM_METADATA),
    )
    _agree(spec)
    return spec


def _image_input(graph: Graph) -> Tensor:
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 4:
        raise InvalidModel("The model must have one input of four axes, a batch of pictures.")
    return graph.inputs[0]


def _class_scores(graph: Graph) -> Tensor:
    if len(graph.outputs) != 1 or len(graph.outputs[0].shape) != 2:
        raise InvalidModel("The model must have one output of two axes, the class scores of a batch.")
    return graph.outputs[0]


def _metadata(graph: Graph, key: str) -> str:
    if key not in graph.metadata:
        raise InvalidModel(f"The model's metadata has no {key}.")
    return graph.metadata[key]


def _preprocessing(graph: Graph) -> Preprocessing:
    try:
        return Preprocessing.from_json(json.loads(_metadata(graph, PREPROCESSING)))
    except (ValueError, RecursionError) as error:
        raise InvalidModel(f"The metadata {PREPROCESSING} cannot be used: {error}") from error


def _activation(graph: Graph) -> Activation:
    name = _metadata(graph, ACTIVATION)
    for activation in ACTIVATIONS:
        if activation == name:
            return activation
    raise InvalidModel(f"The metadata {ACTIVATION} must be one of {', '.join(ACTIVATIONS)}.")


def _agree(spec: ModelSpec) -> None:
    wanted = spec.preprocessing.shape
    if any(n is not None and n != m for n, m in zip(spec.image.shape[1:], wanted, strict=True)):
        raise InvalidModel("The preprocessing does not give the shape that the model's input has.")
    if spec.image.dtype != spec.preprocessing.dtype:
        raise InvalidModel("The preprocessing does not give the element type that the model's input has.")
    classes = spec.scores.shape[1]
    if classes is not None and classes != len(spec.labels):
        raise InvalidModel(f"The model has {classes} classes, but {len(spec.labels)} labels came with it.")
