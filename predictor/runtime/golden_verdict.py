"""How a version does on golden images: which of them it gets right, and what is said of the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from predictor.archives import shown
from predictor.errors import InvalidModel
from predictor.evaluation.classes import Classes
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.results import ImageResult
from predictor.model.spec import ModelSpec

_LISTED = 50
_SAID = 5


class GoldenRefused(InvalidModel):
    """A version gets too few golden images right.

    Attributes:
        verdict: how it did.
    """

    def __init__(self, verdict: "Verdict") -> None:
        wrong = "; ".join(map(_sentence, verdict.wrong[:_SAID]))
        rest = len(verdict.wrong) - _SAID
        more = f"; and {rest} more" if rest > 0 else ""
        super().__init__(
            f"The model gets {verdict.right} of {verdict.of} golden images right, and {verdict.least} are "
            f"required; nothing was changed. Wrong: {wrong}{more}. To overrule this, send force=true."
        )
        self.verdict = verdict

    @property
    def members(self) -> dict[str, Any]:
        """The images that are wrong."""
        return {"wrong": self.verdict.wrong[:_LISTED]}


@dataclass(frozen=True)
class Verdict:
    """How a model does on golden images.

    Attributes:
        right: images that it gets right.
        least: how many it must get right.
        of: all of them.
        wrong: the others, as JSON.
    """

    right: int
    least: int
    of: int
    wrong: list[dict[str, Any]]

    @classmethod
    def of_results(
        cls, found: Sequence[ImageResult], images: Sequence[LabelledImage], spec: ModelSpec, least: int
    ) -> Self:
        """The verdict on a version.

        Args:
            found: what came of each image.
            images: the images, in the same order.
            spec: of the version.
            least: how many it must get right.
        """
        pairs = zip(found, images, strict=True)
        wrong = [_wrong(one, image, spec) for one, image in pairs if not one.right or _abstains(one, spec)]
        return cls(len(found) - len(wrong), least, len(found), wrong)

    @property
    def passed(self) -> bool:
        """Whether enough are right."""
        return self.right >= self.least

    def to_json(self, *, forced: bool) -> dict[str, Any]:
        """The form that is kept with a version."""
        counts = {"right": self.right, "of": self.of, "least": self.least}
        return counts | {"forced": forced, "wrong": self.wrong[:_LISTED]}


def class_names(indices: Sequence[int], classes: Classes) -> str:
    """The names of classes for a sentence."""
    return ", ".join(classes.labels[index].name for index in indices) or "no class"


def _abstains(result: ImageResult, spec: ModelSpec) -> bool:
    """Whether a version with thresholds of its own names no class."""
    return spec.calibration is not None and bool(spec.calibration.thresholds) and result.unsure


def _wrong(result: ImageResult, image: LabelledImage, spec: ModelSpec) -> dict[str, Any]:
    """An image that a version does not get right, as JSON."""
    classes = Classes(spec.labels)
    known = bool(result.truths) or image.classless
    truth = class_names(result.truths, classes) if known else image.called
    found: dict[str, Any] = {"file": shown(image.name), "truth": truth}
    if result.answer is None:
        return found | {"problem": result.problem}
    index, confidence = result.answer.ranked[0]
    found |= {"predicted": classes.labels[index].name, "confidence": confidence}
    if result.answer.named is not None:
        faults = {"missed": result.missed, "extra": result.extra}
        found["predicted"] = class_names(sorted(result.answer.named), classes)
        return found | {name: [classes.labels[one].name for one in of] for name, of in faults.items()}
    if _abstains(result, spec):
        least = f"below its threshold of {result.answer.threshold:g}"
        found["problem"] = f"The confidence of {found['predicted']} is {confidence:.3g}, {least}."
    return found


def _sentence(wrong: dict[str, Any]) -> str:
    if "problem" in wrong:
        return f"{wrong['file']}: {wrong['problem']}".rstrip(".")
    return f"{wrong['file']}: {wrong['truth']} predicted as {wrong['predicted']}"
