"""Verdicts -> the table of a document, and the figures that count."""

from collections.abc import Sequence

from tools.real_models.judge import TOLERANCE, Verdict

_HEAD = "| tool | what | taken | largest difference | sentence |\n| --- | --- | --- | --- | --- |\n"


def table(verdicts: Sequence[Verdict]) -> str:
    """Markdown, a row for each model."""
    return _HEAD + "".join(map(_row, verdicts))


def versions(verdicts: Sequence[Verdict]) -> str:
    """Each tool with the versions of its packages, a line for each."""
    return "".join(sorted({f"- {one.tool}: {one.versions}\n" for one in verdicts}))


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many models there are, and how many of those that should work do."""
    due = [one for one in verdicts if one.expected]
    taken = [one for one in due if one.taken == one.ways]
    compared = [one for one in taken if one.difference is not None]
    right = [one for one in compared if one.right]
    share = 100 * len(taken) / max(1, len(due))
    return (
        f"{len(verdicts)} models. Of the {len(due)} that a user may expect to work, {len(taken)} are taken "
        f"({share:.1f} %); {len(compared)} of these have answers to compare, of which {len(right)} are "
        f"within {TOLERANCE:g} of their tool's."
    )


def _row(verdict: Verdict) -> str:
    figure = "" if verdict.difference is None else f"{verdict.difference:.6f}"
    what = verdict.what if verdict.expected else f"{verdict.what} (a refusal is right)"
    cells = (verdict.tool, what, _taken(verdict), figure, verdict.sentence)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"


def _taken(verdict: Verdict) -> str:
    if not verdict.taken:
        return "no"
    return "yes" if verdict.taken == verdict.ways else f"only as {' and '.join(verdict.taken)}"
