"""Scenarios in which wrk posts without a pause: images/s, processor time for an image, p99 and memory."""

import time
from dataclasses import dataclass
from pathlib import Path

from bench.ablate.processes import processor_seconds
from bench.run import PICTURE, load, pss_mb, running
from tests.live.service import Service

_WARM_SECONDS = 1
# When wrk ends, it leaves a request on each connection, and what comes next would wait for their answers.
_REST_SECONDS = 1.0


@dataclass(frozen=True)
class Course:
    """What is posted.

    Attributes:
        connections: how many there are at the same time, one after the other.
        copies: images in one request; more than one are sent as a form.
        cache: the service's setting; `on` means that all answers are known.
        photograph: whether it is a photograph in place of the small image.
    """

    connections: tuple[int, ...]
    copies: int = 1
    cache: str = "off"
    photograph: bool = False


def measure(course: Course, seconds: int, photograph: Path) -> dict[str, float]:
    """Start a service, load it, and stop it.

    Args:
        course: what is posted.
        seconds: of each load.
        photograph: a file.

    Returns:
        Figures by the heads of their columns.
    """
    image, figures = photograph if course.photograph else PICTURE, dict[str, float]()
    with running(cache=course.cache) as service:
        url = f"{service.url}/predict"
        load(url, course.connections[0], _WARM_SECONDS, copies=course.copies, picture=image)
        for connections in course.connections:
            time.sleep(_REST_SECONDS)
            figures |= _loaded(service, course, connections, seconds, image)
        figures["memory MB"] = pss_mb(service.workers())
    return figures


def _loaded(
    service: Service, course: Course, connections: int, seconds: int, image: Path
) -> dict[str, float]:
    processes = [service.master, *service.workers()]
    before = processor_seconds(processes)
    seen = load(f"{service.url}/predict", connections, seconds, copies=course.copies, picture=image)
    spent = processor_seconds(processes) - before
    return {
        f"images/s at {connections}": seen.rate * course.copies,
        f"CPU ms per image at {connections}": 1000 * spent / (seen.requests * course.copies),
        f"p99 ms at {connections}": seen.p99,
    }
