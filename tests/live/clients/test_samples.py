"""The examples of the service's document and of its page can be sent as they are."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.live.service import Service
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
PATHS = ("/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer")
RUN: dict[str, Sequence[str]] = {
    "curl": ("bash", "-c"),
    "Python": (sys.executable, "-c"),
    "JavaScript": ("node", "--input-type=module", "-e"),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("language", RUN)
def test_inference(service: Service, path: str, language: str) -> None:
    """An inference has three classes of the image in the example."""
    if shutil.which(RUN[language][0]) is None:
        pytest.skip(f"{RUN[language][0]} is not installed")
    samples = service.get("/openapi.json").json()["paths"][path]["post"]["x-codeSamples"]
    (source,) = (one["source"] for one in samples if one["label"] == language)

    said = subprocess.run(
        [*RUN[language], source.replace("http://127.0.0.1:8080", service.url)],
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    ).stdout

    answer = json.loads(said[said.index("{") :])
    assert (answer["model_name"], answer["outputs"][0]["shape"]) == ("default", [1, 3])
