"""One image that is to be explained, and what is made of it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from predictor.errors import Overloaded
from predictor.explaining import overlay
from predictor.explaining.explanation import Explanation
from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import to_tensor
from predictor.image.resize import Size
from predictor.image.seen import seen_box
from predictor.inference.admission import Deadline
from predictor.inference.job import Array
from predictor.inference.loader import LoadedModel
from predictor.inference.prediction import Phases


@dataclass(frozen=True)
class _Seen:
    """What was made of an image: the model's input, the image under an overlay, the size of the whole."""

    tensor: Array
    grey: Image.Image
    size: Size


class AskedImage:
    """An image on its way, of which `tensor` makes what is needed while it has a core."""

    seen: _Seen

    def __init__(
        self, data: bytes, model: LoadedModel, limits: Limits, deadline: Deadline, *, exact: bool
    ) -> None:
        self.data = data
        self.model = model
        self.phases = Phases()
        self._limits = limits
        self._deadline = deadline
        self._exact = exact

    def tensor(self) -> Array:
        """The model's input."""
        form = self.model.spec.preprocessing
        with self.phases.measure("decode"):
            shortest = 0 if self._exact else form.shortest
            scaled = decode_scaled(self.data, self._limits, shortest, mode=form.mode)
        with self.phases.measure("preprocess"):
            tensor = to_tensor(scaled, form, exact=self._exact)
        # Its many pixels are not kept for an overlay of few.
        self.seen = _Seen(tensor, overlay.base(scaled.pixels, scaled.box, scaled.size), scaled.size)
        return tensor

    def check(self) -> None:
        """Raise Overloaded if nobody waits any more."""
        if not self._deadline.still_wanted():
            raise Overloaded("The explanation would not be ready before its deadline.")

    def explained(
        self,
        index: int,
        found: npt.NDArray[np.float64],
        grid: npt.NDArray[np.float64],
        runs: int,
        fidelity: float | None = None,
    ) -> Explanation:
        """What was found out about a class, of the confidences `found`."""
        return Explanation(
            model=self.model,
            index=index,
            confidence=float(found[index]),
            method="cam" if fidelity is None else "masks",
            grid=grid,
            runs=runs,
            fidelity=fidelity,
            size=self.seen.size,
            box=seen_box(self.seen.size, self.model.spec.preprocessing),
            image=self.seen.grey,
            phases=self.phases,
        )
