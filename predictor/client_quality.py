"""The calls of the Python client that measure models and keep their answers good."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from predictor.client_answers import Comparison, Evaluation, Golden, Uploaded
from predictor.client_http import Form, Part, Transport, of_model


class QualityCalls:
    """What `Client` has for evaluations, comparisons, calibrations and golden images."""

    _transport: Transport
    _timeout: float
    _long_timeout: float

    def evaluate(self, pictures: str | Path, **fields: str | int) -> Evaluation:
        """Measure a model on labelled images; the report.

        Args:
            pictures: a ZIP file in one of the forms of `POST /evaluate`.
            fields: `model`, its name; `version`, by default the live one; `limit`, most images that are used;
                `precision`, for which thresholds are suggested.

        Raises:
            ServiceError: there is no report.
            OSError: the file cannot be read.
        """
        return cast("Evaluation", self._send("/evaluate", pictures, fields))

    def compare(
        self, pictures: str | Path, candidate: str | Path | None = None, **fields: str | int
    ) -> Comparison:
        """Compare two models on the same labelled images; the report.

        Args:
            pictures: as in `evaluate`.
            candidate: an .onnx or ZIP file that is not uploaded, in place of a second version.
            fields: `model` and `version` of the first; `other_model` and `other_version` of the second, by
                default the version that was live before; `limit`.

        Raises:
            InvalidModel: the candidate cannot be served.
            ServiceError: any other reason.
            OSError: a file cannot be read.
        """
        parts = [] if candidate is None else [Part("candidate", Path(candidate), Path(candidate).name)]
        return cast("Comparison", self._send("/compare", pictures, fields, parts))

    def calibrate(
        self, calibration: Mapping[str, Any], name: str = "default", **options: str | int
    ) -> Uploaded:
        """Publish a version with temperatures and thresholds.

        Args:
            calibration: such as `evaluate(...)["calibration"]["fit"]["calibration"]`.
            name: of the model.
            options: `version`, whose files are used; `force`.
        """
        path = f"{of_model(name)}/calibration"
        seconds, sent = self._long_timeout, dict(calibration)
        answer = self._transport.call("POST", path, seconds, json=sent, params=dict(options))
        return cast("Uploaded", answer)

    def set_golden(self, pictures: str | Path, name: str = "default", *, least: int | None = None) -> Golden:
        """Keep labelled images of which every new version of a model must get `least` right."""
        fields = {} if least is None else {"least": least}
        return cast("Golden", self._send(f"{of_model(name)}/golden", pictures, fields))

    def golden(self, name: str = "default") -> Golden:
        """The golden images of a model, without their bytes."""
        return cast("Golden", self._read(f"{of_model(name)}/golden"))

    def delete_golden(self, name: str = "default") -> Golden:
        """Delete the golden images of a model."""
        return cast("Golden", self._change("DELETE", f"{of_model(name)}/golden"))

    def _send(
        self,
        path: str,
        pictures: str | Path,
        fields: Mapping[str, str | int | float],
        parts: Sequence[Part] = (),
    ) -> dict[str, Any]:
        """Send labelled images with text fields and other files."""
        texts = {name: str(value) for name, value in fields.items()}
        file = Part("pictures", Path(pictures), Path(pictures).name)
        return self._transport.call("POST", path, self._long_timeout, form=Form(texts, [file, *parts]))

    def _read(self, path: str) -> dict[str, Any]:
        return self._transport.call("GET", path, self._timeout, again=path != "/readyz")

    def _change(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        return self._transport.call(method, path, self._timeout, **sent)
