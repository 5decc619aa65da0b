"""What is to be explained, and what an explanation says."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from predictor.image.resize import Box, Size
from predictor.inference.loader import LoadedModel
from predictor.inference.prediction import Phases
from predictor.model.label import Label

Method = Literal["auto", "cam", "masks"]


@dataclass(frozen=True)
class Wanted:
    """What is to be explained.

    Attributes:
        index: the class; None for the most confident one.
        method: `cam` for a class activation map, `masks` for a fit to masked images, `auto` for the first
            where the model has one.
        exact: whether JPEGs are decoded whole.
    """

    index: int | None = None
    method: Method = "auto"
    exact: bool = False


@dataclass(frozen=True)
class Explanation:
    """Which parts of an image speak for a class.

    Attributes:
        model: whose answer is explained.
        index: the class.
        confidence: of the class, for the image as it is.
        method: how it was found.
        grid: the map over `box`, of shape [rows, columns]: positive for the class, negative against it.
        runs: of the model.
        fidelity: R2 of a fit to masked images; None for a class activation map.
        size: width and height of the upright image.
        box: what the model saw: left, top, right and bottom in pixels of the image.
        image: the grey image under an overlay.
        phases: the times.
    """

    model: LoadedModel
    index: int
    confidence: float
    method: Literal["cam", "masks"]
    grid: npt.NDArray[np.float64]
    runs: int
    fidelity: float | None
    size: Size
    box: Box
    image: Image.Image
    phases: Phases

    @property
    def label(self) -> Label:
        """The class."""
        return self.model.spec.labels[self.index]

    def text(self) -> str:
        """What it shows, in a sentence."""
        way = (
            "class activation map" if self.fidelity is None else f"{self.runs} masks, R2 {self.fidelity:.2f}"
        )
        of = f"{self.label.name}, confidence {self.confidence:.3f}"
        return f"{of}: orange speaks for it, blue against it ({way})."
