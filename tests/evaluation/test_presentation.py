"""Reports as lines for a terminal."""

from predictor.evaluation.presentation import problem_lines


def test_problems() -> None:
    """Images that were left out stand apart from those that were used without their class."""
    report = {
        "left_out": 1,
        "problems": [{"file": "bad.jpg", "problem": "It is damaged."}],
        "without_class": [{"file": "cat.jpg", "problem": "cat is not a class of the model."}],
    }

    assert list(problem_lines(report)) == [
        "Images left out: 1",
        "  bad.jpg: It is damaged.",
        "Images used without their class:",
        "  cat.jpg: cat is not a class of the model.",
    ]
