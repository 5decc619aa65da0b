"""What is left for later is done when the answer is sent, in its order, and by nobody else."""

import threading

import pytest

from predictor.afterwards import answering, flush, when_answered


@pytest.fixture
def done() -> list[str]:
    """What was done."""
    return []


def test_at_the_end(done: list[str]) -> None:
    """It waits for the end of the answer."""
    with answering():
        when_answered(lambda: done.append("first"))
        when_answered(lambda: done.append("second"))
        done.append("answer")

    assert done == ["answer", "first", "second"]


def test_failed_answer(done: list[str]) -> None:
    """It is done even if there is no answer."""

    def fail() -> None:
        with answering():
            when_answered(lambda: done.append("task"))
            raise ValueError("none")

    with pytest.raises(ValueError, match="none"):
        fail()
    assert done == ["task"]


def test_no_answer_is_given(done: list[str]) -> None:
    """It is done at once where the thread answers nobody, before and after as well."""
    when_answered(lambda: done.append("before"))
    with answering():
        pass
    when_answered(lambda: done.append("after"))

    assert done == ["before", "after"]


def test_other_thread(done: list[str]) -> None:
    """Another thread's answer is none of ours."""
    with answering():
        thread = threading.Thread(target=when_answered, args=(lambda: done.append("task"),))
        thread.start()
        thread.join(10)

        assert done == ["task"]


def test_flush(done: list[str]) -> None:
    """Who is about to wait for others can have it done earlier, once."""
    with answering():
        when_answered(lambda: done.append("task"))
        flush()
        done.append("answer")

    assert done == ["task", "answer"]
