# /// script
# dependencies = ["fastapi", "uvicorn[standard]", "numpy", "onnxruntime", "pillow"]
# [tool.bench]
# name = "FastAPI, uvicorn"
# command = ["-m", "uvicorn", "--workers", "2", "--port", "{port}", "bench.contestants.fastapi_uvicorn:app"]
# ///
"""FastAPI with uvicorn; the endpoint is a plain function, which FastAPI runs in its pool of threads."""

from typing import Annotated, Any

from fastapi import Body, FastAPI

from bench.contestants.classifier import Classifier

app = FastAPI()
classify = Classifier()


@app.post("/predict")  # type: ignore[untyped-decorator]
def predict(picture: Annotated[bytes, Body(media_type="image/jpeg")]) -> dict[str, Any]:
    """Say what is on an image."""
    return classify(picture)
