"""What contestants of `make bench` have to do: which network, which image, through what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contestant import Contestant
from bench.networks import resnet50, small_vit
from bench.optimised import int8
from bench.photograph import photograph
from bench.request import IMAGE, V2, V2_JSON
from bench.run import PICTURE
from predictor.config import BUNDLED_MODEL

# Of the bundled network with the small image: its results are the first table and the plot.
MAIN = "small"


@dataclass(frozen=True)
class Course:
    """What each contestant has to do in a round.

    Attributes:
        key: names it in `BENCH_COURSES`.
        title: heads its table.
        image: what is posted.
        network: what is served.
        connections: how many there are at the same time, one after the other. The order matters little, but
            what is nearest to the bare pipeline in time is what is held against it.
        forms: of requests that take part.
        many: whether those that can answer for many images in one request do so, too.
        nginx: whether nginx stands before each contestant.
    """

    key: str
    title: str
    image: Path = PICTURE
    network: Path = BUNDLED_MODEL
    connections: tuple[int, ...] = (8, 32, 1)
    forms: tuple[str, ...] = (IMAGE,)
    many: bool = False
    nginx: bool = False

    def takes(self, contestant: Contestant) -> bool:
        """Whether a contestant takes part; those that know the answer do in the first course only."""
        of_form = contestant.form in self.forms
        return of_form and (contestant.computes or self.key == MAIN)


def courses(folder: Path, chosen: Sequence[str]) -> list[Course]:
    """The courses, with their files written into a folder.

    Args:
        folder: where to.
        chosen: their keys; none for all.
    """
    return [make(folder) for key, make in _COURSES.items() if not chosen or key in chosen]


def _network(
    title: str, write: Callable[[Path], Path], connections: tuple[int, ...]
) -> Callable[[Path], Course]:
    key = write.__name__
    return lambda folder: Course(key, title, network=write(folder / f"{key}.onnx"), connections=connections)


def _photograph(key: str, title: str, size: tuple[int, int]) -> Callable[[Path], Course]:
    return lambda folder: Course(
        key, title, image=photograph(PICTURE, folder / f"{key}.jpg", size), connections=(8, 1)
    )


_COURSES: dict[str, Callable[[Path], Course]] = {
    MAIN: lambda _: Course(MAIN, "The bundled network, an image of 0.03 MB", many=True),
    "medium": _photograph("medium", "The bundled network, a photograph of 0.5 MB", (1900, 1425)),
    "large": _photograph(
        "large", "The bundled network, a photograph of 2.5 MB and 12 megapixels", (4000, 3000)
    ),
    "resnet50": _network("ResNet-50 with random weights, an image of 0.03 MB", resnet50, (8, 32, 1)),
    "small_vit": _network(
        "A small vision transformer with random weights, an image of 0.03 MB", small_vit, (8, 1)
    ),
    "int8": _network(
        "The bundled network in its int8 form (POST /models/<name>/optimise), an image of 0.03 MB",
        int8,
        (8, 32, 1),
    ),
    "nginx": lambda _: Course(
        "nginx", "Through nginx: the bundled network, an image of 0.03 MB", connections=(8, 32), nginx=True
    ),
    "v2": lambda _: Course(
        "v2",
        "The Open Inference Protocol: the bundled network, an image of 0.03 MB",
        forms=(V2, V2_JSON, IMAGE),
    ),
}
