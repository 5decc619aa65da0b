"""A service under attack by images; after each test its workers are those that there were before."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.image.mutants import pictures
from tests.live.attack_images import floods
from tests.live.memory import growth
from tests.live.processor import spent
from tests.live.service import Service

MB = 1_000_000


@dataclass(frozen=True)
class Answer:
    """What came of an image.

    Attributes:
        status: the status.
        said: code or best label.
        seconds: what the workers spent, in seconds of a processor.
        grown: by how many bytes a worker grew.
    """

    status: int
    said: str
    seconds: float
    grown: int


class Target(Service):
    """A service that images are sent to.

    Attributes:
        answers: what came of the images of the running test.
        whole: what the workers spent on an image of nearly as many pixels as are allowed, in seconds of a
            processor: what it costs to open one.
    """

    answers: list[Answer]
    whole: float

    def send(self, picture: bytes, content_type: str = "image/png", path: str = "/predict") -> Answer:
        """Send an image; a worker's peak of memory is compared with its size before."""
        with growth(self.workers()) as memory, spent(self.workers()) as processor:
            answer = self.post(path, data=picture, headers={"Content-Type": content_type})
        said = answer.json()
        label = said.get("predicted_label") or said.get("code")
        self.answers.append(Answer(answer.status_code, label, processor.seconds, memory.most))
        return self.answers[-1]


@pytest.fixture(scope="session")
def ghostscript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program named as the one that draws EPS for Pillow; run, it leaves a file."""
    folder = tmp_path_factory.mktemp("programs")
    for name in ("gs", "gswin64c"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho run > {folder}/was-run\nexit 1\n")
        program.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, ghostscript: Path) -> Iterator[Target]:
    """A service of two workers without a cache, which has answered for an image of each format."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PATH", f"{ghostscript}{os.pathsep}{os.environ['PATH']}")
        target = Target(tmp_path_factory.mktemp("attacked") / "data", cache="off")
        target.answers = []
        with target:
            for picture in [*pictures().values()] * 2:
                assert target.send(picture).status == 200
            target.whole = min(target.send(floods.webp_canvas(7_000, 7_000)).seconds for _ in range(2))
            yield target


@pytest.fixture
def target(running: Target, record_property: Callable[[str, object], None]) -> Iterator[Target]:
    """The service; no worker may die of a test, whose figures go into the runner's report."""
    before = running.workers()
    running.answers.clear()
    yield running
    if running.answers:
        record_property("most seconds", round(max(answer.seconds for answer in running.answers), 3))
        record_property("most MB", round(max(answer.grown for answer in running.answers) / MB, 1))
    assert running.workers() == before
    assert running.alive
    assert running.get("/readyz").status_code == 200
