"""For operators: is it alive, and is it ready; `/metrics` is the exporter's."""

from typing import Literal

from flask import Blueprint, Flask, Response, jsonify
from pydantic import BaseModel, Field

from predictor.errors import ModelNotFound, NotReady, Overloaded
from predictor.model.device import Device
from predictor.runtime.worker import Worker
from predictor.store.registry import DEFAULT
from predictor.web import schemas
from predictor.web.openapi import TEXT, operation
from predictor.web.schemas import ModelRef


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"]


class DeviceState(BaseModel):
    """The device on which the model runs, and the reason."""

    kind: Literal["cpu", "cuda"]
    name: str
    provider: str = Field(description="The execution provider of the session.")
    reason: str


class Ready(BaseModel):
    """Predictions succeed."""

    status: Literal["ready"]
    model: ModelRef
    device: DeviceState
    degraded: dict[str, str] = Field(
        description="What does not work although predictions succeed: `cache`, `data` or `store`, each "
        "with a sentence; empty if all is well."
    )


def blueprint(worker: Worker) -> Blueprint:
    """Routes for probes."""
    ops = Blueprint("ops", __name__)

    @ops.get("/healthz")
    @operation(name="check_alive", tag="Operating", answers={"application/json": Alive})
    def healthz() -> Response:
        """Check that the process answers."""
        return jsonify(status="alive")

    @ops.get("/readyz")
    @operation(
        name="check_ready",
        tag="Operating",
        answers={"application/json": Ready},
        errors=(NotReady, Overloaded),
    )
    def readyz() -> Response:
        """Check whether predictions succeed, on which device they run, and what else does not work."""
        device = check_ready(worker)
        try:
            model = worker.engine.model()
        except ModelNotFound as error:
            raise NotReady(f"The model {DEFAULT} is not loaded.") from error
        return jsonify(
            status="ready",
            model=schemas.model_json(model.version),
            device={
                "kind": device.kind,
                "name": device.name,
                "provider": model.provider,
                "reason": device.reason,
            },
            degraded=worker.health.degraded(),
        )

    return ops


def check_ready(worker: Worker) -> Device:
    """Check whether the loaded models can predict.

    Returns:
        The device on which they run.

    Raises:
        NotReady: nothing can be predicted; the sentence says why.
        Overloaded: so many images wait that new ones should go elsewhere.
    """
    worker.live.models()
    if worker.cluster is not None:
        worker.cluster.check_ready()
    if worker.device is None:
        raise NotReady("The service is still starting; try again.")
    if worker.engine.admission.crowded:
        raise Overloaded("Too many images are queued; try again.")
    return worker.device


def describe_metrics(app: Flask) -> None:
    """Put the exporter's route into the OpenAPI document."""
    (endpoint,) = (rule.endpoint for rule in app.url_map.iter_rules() if rule.rule == "/metrics")
    view = app.view_functions[endpoint]
    view.__doc__ = "Return the metrics of all workers, past and present, in the text format of Prometheus."
    operation(name="get_metrics", tag="Operating", answers={"text/plain": TEXT})(view)
