"""Whether a faster form of a model may take its place. Pure: figures in, a verdict out, also as lines.

What counts is proof, not hope: a few hundred labels cannot show that an accuracy fell by less than half a
percentage point, since one image more or less is that much. What can be shown is how often the answer
changed, and how sure the original was where it did: if the original's confidences are what they say, an
image whose answer changes from a class of confidence p to one of confidence q costs p - q right answers.
Labels, where there are enough, make the confidences right, and may speak against a candidate.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from predictor.evaluation.measures import Share
from predictor.optimising.answers import LEAST_LABELS, PRIOR_COST, Answers
from predictor.optimising.samples import MOST_IMAGES

LEAST_RATIO = 1.2
"""How much faster a candidate must be, alone and with all cores at work."""
MAX_LOSS = 0.005
"""The accuracy that may be lost, as a share of all images, unless the user says otherwise."""
_LEAST_JUDGED = 50
# How many answers may change for each right one that may be lost: with 0.5 points 3 of 100 that were seen,
# and 6 of 100 by the interval of that share.
_CHANGES, _CHANGES_AT_MOST = 6, 12
# So far below the mean confidence, beyond chance, the accuracy is of a model only that is understood wrongly.
_FAR = 0.3
_NEAR = 0.95

_HEADING = ("form", "alone", "all cores", "p99 ms", "memory", "file", "agrees", "expected loss")
_NOTHING = "Nothing is recommended"
_OF_RATIOS = (
    "The x is the median of the ratios of turns that follow each other; it may differ from the quotient of "
    "the images/s. The smaller of both x decides."
)
_WIDTHS = (18, 16, 16, 8, 10, 10, 8, 24)


def needed(max_loss: float) -> int | None:
    """How many images must judge to show that little enough is lost, where they find nothing changed.

    Args:
        max_loss: the accuracy that may be lost, as a share.

    Returns:
        The number; None where so many are not used.
    """
    counts = range(_LEAST_JUDGED, MOST_IMAGES // 2 + 1)
    return next((one for one in counts if Share(0, one).interval[1] * PRIOR_COST <= max_loss), None)


def doubt(original: Answers) -> str | None:
    """Why the answers of the original cannot be what others are measured by; None if they can."""
    hits = original.hits()
    if original.independent or not original.shares or len(hits) < LEAST_LABELS:
        return None
    right, sure = Share(sum(hits), len(hits)), original.confidences[original.known].max(axis=1).mean()
    if right.interval[1] > sure - _FAR:
        return None
    return (
        f"By the labels {right.value:.1%} of the original's answers are right, though it is {sure:.1%} sure "
        "of them. Its labels may be in another order than its classes, or its preprocessing is wrong."
    )


def basis(original: Answers, max_loss: float) -> str:
    """What a recommendation rests on, in sentences."""
    if why := _too_few(len(original.truths), max_loss) or doubt(original):
        return f"{_NOTHING}: {why}"
    rule = (
        f"Recommended is what is at least {LEAST_RATIO:g} times as fast and keeps the loss of accuracy "
        "within the bound. The loss is estimated: the upper end of a 95 % interval of the share of images "
        "whose answer changed, times how much surer the original was of its own answer there, where one more "
        f"such image is assumed that costs {PRIOR_COST:g}."
    )
    known = len(original.known)
    if known >= LEAST_LABELS:
        return f"{rule} The labels say how sure that is right, and must not show a larger loss either."
    few = "no labels" if not known else f"fewer than {LEAST_LABELS} labels"
    return f"{rule} The images have {few}: agreement with the original stands in for accuracy."


def _too_few(judged: int, max_loss: float) -> str | None:
    least = needed(max_loss)
    if least is None:
        return (
            f"{MOST_IMAGES} images, the most that are used, do not prove that at most {max_loss:.2%} of the "
            "right answers are lost. Allow a larger loss."
        )
    if judged >= least:
        return None
    said = "1 judged image is" if judged == 1 else f"{judged} judged images are"
    return (
        f"{said} too few to prove that at most {max_loss:.2%} of the right answers are "
        f"lost; {least} are needed. Half of the images judge, so give {2 * least} or more."
    )


def objections(judged: dict[str, Any], max_loss: float) -> list[str]:
    """Why a candidate is not recommended; empty if it is.

    Args:
        judged: what `changes` gave, with the ratios of the rates under `speed`.
        max_loss: the accuracy that may be lost, as a share.
    """
    found = list[str]()
    if few := _too_few(judged["agreement"]["of"], max_loss):
        found.append(few)
    slowest = min(judged["speed"][name]["ratio"] for name in ("alone", "all_cores"))
    if slowest < LEAST_RATIO:
        found.append(f"It is {slowest:.2f} times as fast; {LEAST_RATIO:g} times is worth a change.")
    # Where nothing changed, only the number of images can be in the way.
    if judged["agreement"]["value"] < 1:
        found += _of_changes(judged, max_loss)
    if (labels := judged.get("labels")) is not None:
        # One image more or less is not to be told from none.
        allowed = max(max_loss, 1 / labels["images"])
        if labels["loss"]["value"] > allowed + 1e-9:
            found.append(
                f"By the labels {labels['loss']['value']:.2%} of the right answers are lost; {allowed:.2%} "
                "is allowed."
            )
    return found


def _of_changes(judged: dict[str, Any], max_loss: float) -> list[str]:
    """What the changed answers say against a candidate."""
    found = []
    if (high := judged["expected_loss"]["high"]) > max_loss:
        found.append(
            f"Up to {high:.2%} of the right answers may be lost, by the original's confidences where the "
            f"answer changed; {max_loss:.2%} is allowed."
        )
    share, least, lowest = judged["agreement"], 1 - _CHANGES * max_loss, 1 - _CHANGES_AT_MOST * max_loss
    if share["value"] < least:
        found.append(
            f"It agrees with the original on {share['value']:.1%} of the images; {least:.1%} is needed."
        )
    elif share["low"] < lowest:
        found.append(
            f"It may agree with the original on as few as {share['low']:.1%} of all images, the lower end of "
            f"the 95 % interval; {lowest:.1%} is needed."
        )
    return found


def chosen(candidates: Sequence[dict[str, Any]]) -> str | None:
    """The key of the recommended candidate: the fastest without objections, of near equals the surest."""
    good = [one for one in candidates if not one["objections"]]
    if not good:
        return None
    fastest = max(one["speed"]["all_cores"]["ratio"] for one in good)
    near = [one for one in good if one["speed"]["all_cores"]["ratio"] >= _NEAR * fastest]
    return str(min(near, key=lambda one: tuple(one["expected_loss"].values()))["key"])


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The basis, a row for the original and for each candidate, and why others are not recommended."""
    yield report["basis"]
    yield (
        f"Images that showed the ranges of numbers: {report['calibration_images']}, others that judged: "
        f"{report['judged_images']}; {report['processor']['name']}, {report['runtime']}."
    )
    yield _row(_HEADING)
    for place, one in enumerate(report["candidates"]):
        if place == 0:
            yield _row(_original(report["original"], one["speed"]))
        yield _row(_candidate(one))
    if report["candidates"]:
        yield _OF_RATIOS
    for one in report["candidates"]:
        yield from (f"{one['key']}: {sentence}" for sentence in one["objections"])
    yield from (f"Not made: {sentence}" for sentence in report["skipped"])
    if report["recommended"] is not None:
        yield f"Recommended: {report['recommended']}."
    elif not report["basis"].startswith(_NOTHING):
        yield f"{_NOTHING}."


def _original(original: Mapping[str, Any], speed: Mapping[str, Any]) -> tuple[str, ...]:
    alone, together = speed["alone"], speed["all_cores"]
    return (
        "original",
        f"{alone['original_rate']:.1f}/s",
        f"{together['original_rate']:.1f}/s",
        f"{alone['original_p99_ms']:.1f}",
        _megabytes(original["memory_bytes"]),
        _megabytes(original["bytes"]),
        "",
        _alone(original),
    )


def _candidate(one: Mapping[str, Any]) -> tuple[str, ...]:
    alone, together = one["speed"]["alone"], one["speed"]["all_cores"]
    loss = f"{one['expected_loss']['value']:.2%}, up to {one['expected_loss']['high']:.2%}"
    return (
        one["key"],
        f"{alone['rate']:.1f}/s {alone['ratio']:.2f}x",
        f"{together['rate']:.1f}/s {together['ratio']:.2f}x",
        f"{alone['p99_ms']:.1f}",
        _megabytes(one["memory_bytes"]),
        _megabytes(one["bytes"]),
        f"{one['agreement']['value']:.1%}",
        " ".join(filter(None, (loss, _alone(one)))),
    )


def _alone(one: Mapping[str, Any]) -> str:
    """What is known of one form alone: its accuracy, and how many images get no class."""
    names = {"top1": "top-1", "exact": "all classes right", "abstained": "abstains"}
    return ", ".join(f"{said} {one[name]['value']:.1%}" for name, said in names.items() if name in one)


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB"


def _row(cells: tuple[str, ...]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()
