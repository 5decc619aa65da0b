"""The folder of a model that MLflow logs, written by MLflow."""

from typing import Any

import mlflow
import onnx
from mlflow.models import infer_signature

from tools.real_models.makers import ort_networks as ort
from tools.real_models.makers.case import Answer, Case, Maker, opened, run


def _network(case: Case) -> tuple[onnx.ModelProto, Answer]:
    model = ort.network(case.photographs)
    path = case.folder / "network.onnx"
    onnx.save(model, path)
    return model, ort.runtime_answer(path, ort.usual)


def _saved(what: str, *, signature: bool = False, **options: Any) -> Maker:
    def make(case: Case) -> None:
        model, answer = _network(case)
        values = ort.usual(opened(case.photographs[0]))
        said = infer_signature(values) if signature else None
        mlflow.onnx.save_model(model, case.files / "model", signature=said, **options)
        case.save(what, answer)

    return make


CASES: dict[str, Maker] = {
    "folder": _saved("mlflow.onnx.save_model"),
    "signature": _saved("mlflow.onnx.save_model, with a signature", signature=True),
    "one_file": _saved("mlflow.onnx.save_model, save_as_external_data=False", save_as_external_data=False),
}

if __name__ == "__main__":
    run("mlflow", ("mlflow-skinny", "onnx", "onnxruntime"), CASES)
