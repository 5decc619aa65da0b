"""How much the tests that make up their own input try, from which seed on, and what they say of it."""

import os


def chosen() -> bool:
    """Whether it was chosen how much to try."""
    return "FUZZ_EXAMPLES" in os.environ


def examples(otherwise: int) -> int:
    """How many examples to try: the environment variable FUZZ_EXAMPLES, or what suits every run."""
    return int(os.environ.get("FUZZ_EXAMPLES", otherwise))


def seed() -> int:
    """The first seed: the environment variable FUZZ_SEED, or always the same."""
    return int(os.environ.get("FUZZ_SEED", "1"))


def say(*words: object) -> None:
    """Tell what was tried, to those who let pytest show what tests write, as `make fuzz` does."""
    print(*words)  # noqa: T201 - pytest keeps it to itself otherwise
