"""Damaged models, each made from a seed: the check says what it found, and nothing else happens."""

import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from predictor.checking.report import REASONS, SERVED, Limits, Refused, Request
from predictor.checking.runner import try_model
from predictor.cores import cores
from tests import fuzzing
from tests.patience import PATIENCE
from tools.mutate_models import mutant

pytestmark = pytest.mark.fuzz
LIMITS = Limits(seconds=6, cpu_seconds=3)
# Nothing of the check's insides may be shown to the uploader.
FOREIGN = re.compile(r"/tmp|site-packages|Traceback|onnxruntime|\n")


class Tried(NamedTuple):
    """What came of a mutant."""

    seed: int
    outcome: str
    sentence: str
    seconds: float


def tried(seed: int, folder: Path) -> Tried:
    """Try the mutant of a seed in a folder of its own."""
    (place := folder / str(seed)).mkdir()
    (place / "model.onnx").write_bytes(mutant(seed).content)
    start = time.monotonic()
    try:
        try_model(place, Request("model.onnx", limits=LIMITS))
        outcome, sentence = "passed", ""
    except Refused as refused:
        outcome, sentence = refused.reason, refused.detail
    seconds = time.monotonic() - start
    left = {path.name for path in place.iterdir()}
    # A model that passed may have been adapted.
    assert left in ({"model.onnx"}, {"model.onnx", SERVED} if outcome == "passed" else left - {SERVED}), (
        f"seed {seed}"
    )
    return Tried(seed, outcome, sentence, seconds)


def children() -> set[str]:
    """The process ids of this process's children, whichever of its threads started them."""
    found = set[str]()
    for task in Path("/proc/self/task").iterdir():
        # A thread that ends meanwhile hands its children to another one.
        with suppress(FileNotFoundError, ProcessLookupError):
            found.update((task / "children").read_text().split())
    return found


def descriptors() -> int:
    """How many descriptors this process holds open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.promise("M10")
def test_mutants(tmp_path: Path) -> None:
    """Whatever is wrong with a model, its check ends in time with a report or a reason and leaves nothing."""
    seeds = range(fuzzing.seed(), fuzzing.seed() + fuzzing.examples(60))
    before = children(), descriptors()

    with ThreadPoolExecutor(cores()) as pool:
        results = list(pool.map(lambda seed: tried(seed, tmp_path), seeds))

    slowest = max(results, key=lambda result: result.seconds)
    outcomes = Counter(result.outcome for result in results)
    crashes = [result.seed for result in results if result.outcome == "crashed"]
    fuzzing.say(f"\nseeds {seeds.start} to {seeds.stop - 1}: {dict(outcomes.most_common())}")
    fuzzing.say(f"slowest {slowest.seconds:.1f} s: seed {slowest.seed}; crashes: seeds {crashes}")
    assert outcomes.keys() <= {"passed", *REASONS}
    assert slowest.seconds < LIMITS.wall_seconds + PATIENCE, f"seed {slowest.seed}"
    assert [result for result in results if FOREIGN.search(result.sentence)] == []
    assert children() <= before[0]
    assert descriptors() < before[1] + 10


def test_same_mutant() -> None:
    """A seed always makes the same mutant, and other seeds other ones."""
    mutants = [mutant(seed) for seed in range(200)]

    assert [mutant(seed) for seed in range(200)] == mutants
    assert len({found.content for found in mutants}) > 190
