"""Classifiers whose outputs are of every form that people export from PyTorch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tools.real_models.makers import torch_networks as nets
from tools.real_models.makers.case import Array, Case, Maker, labels, run, sigmoid, softmax, two_classes

EXAMPLE = torch.zeros(1, 3, 224, 224)


def _ends(
    what: str,
    end: Callable[[Any], Any],
    *,
    names: tuple[str, ...] = ("output",),
    named: bool = False,
    confidences: Callable[[Array], Array] = softmax,
    dynamo: bool = False,
) -> Maker:
    """The usual network with something behind its logits; `named` sends a file of labels as well."""

    def make(case: Case) -> None:
        network = nets.small(case.photographs, nets.preset())
        whole = nets.Through(network, end=end).eval()
        export = nets.dynamo if dynamo else nets.legacy
        export(whole, EXAMPLE, case.path("model.onnx"), output_names=list(names))
        given = _labels(case, labels()) if named else None
        answer = nets.answer(network, nets.preset(), confidences)
        case.save(what, answer, labels=given, names=labels() if named else None)

    return make


def _labels(case: Case, names: list[str]) -> str:
    case.path("labels.txt").write_text("\n".join(names) + "\n")
    return "labels.txt"


def _binary(what: str, *, inside: bool, names: tuple[str, ...] = (), flat: bool = False) -> Maker:
    """One score for two classes: with or without the sigmoid, `[N, 1]` or `[N]`."""

    def make(case: Case) -> None:
        network = nets.small(case.photographs, nets.preset(), classes=1)
        network = nets.Through(network, end=lambda x: x.flatten()) if flat else network
        whole = nets.Through(network, end=torch.sigmoid) if inside else network
        axes = {"input": {0: "batch"}, "output": {0: "batch"}} if flat else {}
        forms = {"input_names": ["input"], "output_names": ["output"], "dynamic_axes": axes}
        nets.legacy(whole.eval(), EXAMPLE, case.path("model.onnx"), **forms)
        given = _labels(case, list(names)) if names else None
        case.save(
            what,
            nets.answer(network, nets.preset(), two_classes),
            labels=given,
            names=names if given else None,
        )

    return make


def two_softmax(case: Case) -> None:
    """Two classes with a score each."""
    network = nets.small(case.photographs, nets.preset(), classes=2)
    nets.legacy(nets.Through(network, end=nn.Softmax(1)).eval(), EXAMPLE, case.path("model.onnx"))
    case.save("two classes, softmax", nets.answer(network, nets.preset()))


def training(case: Case) -> None:
    """BatchNormalization and Dropout left in training mode: its answers are not those of the network."""
    network = nets.small(case.photographs, nets.preset())
    mode = torch.onnx.TrainingMode.TRAINING
    nets.legacy(network, EXAMPLE, case.path("model.onnx"), training=mode, do_constant_folding=False)
    case.save("training=TRAINING (a warning is due)", None)


def heads(case: Case) -> None:
    """Two heads of different sizes, of which the labels say which is meant."""
    network = nets.small(case.photographs, nets.preset())
    whole = nets.Through(network, end=lambda x: (x[:, :5] * 2, x)).eval()
    nets.legacy(whole, EXAMPLE, case.path("model.onnx"), output_names=["colour", "thing"])
    given = _labels(case, labels())
    case.save("two heads of 5 and 12, 12 labels", nets.answer(network, nets.preset()), labels=given)


def features(case: Case) -> None:
    """Features beside the logits."""
    network = nets.small(case.photographs, nets.preset())
    body, last = network[:-1], network[-1]
    whole = nets.Through(body, end=lambda x: (x, last(x))).eval()
    nets.legacy(whole, EXAMPLE, case.path("model.onnx"), output_names=["features", "logits"])
    case.save("outputs features and logits", nets.answer(network, nets.preset()))


_LABEL: dict[str, Any] = {"names": ("probabilities", "label")}

CASES: dict[str, Maker] = {
    "softmax": _ends("softmax inside", nn.Softmax(1)),
    "softmax_dynamo": _ends("softmax inside, default exporter", nn.Softmax(1), dynamo=True),
    "softmax_labels": _ends("softmax inside, labels.txt", nn.Softmax(1), named=True),
    "log_softmax": _ends("log-probabilities (NLLLoss)", nn.LogSoftmax(1)),
    "log_softmax_dynamo": _ends("log-probabilities, default exporter", nn.LogSoftmax(1), dynamo=True),
    "sigmoids": _ends("12 sigmoids, several may be true", nn.Sigmoid(), confidences=sigmoid),
    "logits_probabilities": _ends(
        "outputs logits and probabilities", lambda x: (x, x.softmax(1)), names=("logits", "probabilities")
    ),
    "two_unnamed": _ends(
        "two outputs without names of their own, labels.txt",
        lambda x: (x, x[:, :3].sigmoid()),
        names=("out0", "out1"),
        named=True,
    ),
    "label_int64": _ends("probabilities and label int64", lambda x: (x.softmax(1), x.argmax(1)), **_LABEL),
    "label_int32": _ends(
        "probabilities and label int32", lambda x: (x.softmax(1), x.argmax(1).to(torch.int32)), **_LABEL
    ),
    "label_first": _ends(
        "label int64 before probabilities",
        lambda x: (x.argmax(1), x.softmax(1)),
        names=("label", "probabilities"),
    ),
    "bool_beside": _ends(
        "probabilities and bool beside", lambda x: (x.softmax(1), x > 0), names=("probabilities", "above")
    ),
    "scores_float64": _ends("scores as float64", lambda x: x.softmax(1).double()),
    "scores_float16": _ends("scores as float16", lambda x: x.softmax(1).half()),
    "shape_c": _ends("output [12], no batch axis", lambda x: x.squeeze(0)),
    "shape_n1c": _ends("output [N, 1, 12]", lambda x: x[:, None]),
    "shape_n11c": _ends("output [N, 1, 1, 12]", lambda x: x[:, None, None]),
    "shape_nc11": _ends("output [N, 12, 1, 1]", lambda x: x[:, :, None, None]),
    "argmax": _ends("ArgMax alone (the scores before it)", lambda x: x.argmax(1)),
    "argmax_kept": _ends("ArgMax [N, 1] alone (the scores before it)", lambda x: x.argmax(1, keepdim=True)),
    "topk": _ends(
        "TopK alone: values and indices of 5 (the scores before it)",
        lambda x: x.softmax(1).topk(5),
        names=("values", "indices"),
    ),
    "topk_beside": _ends(
        "probabilities, and TopK of 5 beside",
        lambda x: (x.softmax(1), *x.softmax(1).topk(5)),
        names=("probabilities", "values", "indices"),
    ),
    "binary_logit": _binary("one logit (BCEWithLogitsLoss), no labels", inside=False),
    "binary_logit_labels": _binary("one logit, labels cat and dog", inside=False, names=("cat", "dog")),
    "binary_sigmoid": _binary("one sigmoid, no labels", inside=True),
    "binary_sigmoid_labels": _binary("one sigmoid, labels cat and dog", inside=True, names=("cat", "dog")),
    "binary_flat": _binary("one sigmoid, output [N]", inside=True, flat=True),
    "binary_flat_logit": _binary(
        "one logit, output [N], labels", inside=False, flat=True, names=("no", "yes")
    ),
    "two_softmax": two_softmax,
    "training": training,
    "heads": heads,
    "features": features,
}

if __name__ == "__main__":
    run("torch", ("torch", "torchvision", "onnx", "onnxscript"), CASES)
