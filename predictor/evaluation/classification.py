"""What is taken for what: the confusion matrix, and precision, recall and F1 of each class. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ClassCounts:
    """How often a class applies, is predicted, and both.

    Attributes:
        images: images to which it applies.
        predicted: images for which it is predicted.
        right: images of both kinds.
    """

    images: int
    predicted: int
    right: int

    @property
    def precision(self) -> float:
        """The share of the predictions of the class that are right; 0 without any."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The share of the images of the class for which it is predicted; 0 without any."""
        return self.right / self.images if self.images else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 if either is."""
        return 2 * self.right / (self.images + self.predicted) if self.right else 0.0


def matrix(truth: Sequence[int], predicted: Sequence[int]) -> dict[tuple[int, int], int]:
    """The confusion matrix: how many images of each class were taken for each; without what never happened.

    Args:
        truth: the class of each image.
        predicted: the predicted class of each, in the same order.
    """
    return dict(sorted(Counter(zip(truth, predicted, strict=True)).items()))


def dense(entries: Mapping[tuple[int, int], int], classes: Sequence[int]) -> list[list[int]]:
    """A confusion matrix as rows of true and columns of predicted classes."""
    return [[entries.get((truth, predicted), 0) for predicted in classes] for truth in classes]


def by_class(
    truth: Sequence[Collection[int]], predicted: Sequence[Collection[int]]
) -> dict[int, ClassCounts]:
    """The counts of each class that applies to an image or is predicted for one, in their order.

    Args:
        truth: the classes of each image; one unless classes are independent.
        predicted: the predicted classes of each, in the same order.
    """
    applies, said, right = Counter[int](), Counter[int](), Counter[int]()
    for true, answer in zip(truth, predicted, strict=True):
        applies.update(true)
        said.update(answer)
        right.update(set(true) & set(answer))
    found = sorted(applies.keys() | said.keys())
    return {index: ClassCounts(applies[index], said[index], right[index]) for index in found}


def mean_f1(counts: Collection[ClassCounts]) -> dict[str, float]:
    """The mean F1: `macro` counts each class once, `weighted` each class as often as it has images."""
    of = sum(one.images for one in counts)
    return {
        "macro": sum(one.f1 for one in counts) / len(counts) if counts else 0.0,
        "weighted": sum(one.f1 * one.images for one in counts) / of if of else 0.0,
    }
