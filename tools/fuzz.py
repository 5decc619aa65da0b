"""`make fuzz`: everything that makes up its own input, for long, in parts that each come to an end.

Each part has a seed of its own and begins with the command that repeats it. The first seed is the time, or
that of the environment variable FUZZ_SEED. `python -m tools.fuzz PART ...` runs some of the parts only.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_API, _INFER, _UPLOADS = (
    f"tests/live/test_fuzz.py::{test}"
    for test in ("test_schemathesis", "test_schemathesis_infer", "test_mutants")
)
_MODELS = "tests/checking/test_mutants.py"


@dataclass(frozen=True)
class Part:
    """Tests that are run together, again and again with other seeds.

    Attributes:
        tests: what pytest is told.
        examples: how many examples each run tries.
        times: how many runs.
        seconds: how long a run may take.
    """

    tests: tuple[str, ...]
    examples: int
    times: int
    seconds: int


PARTS = {
    # The API by its own document: 2000 examples of each operation, and as many of inferences that are read.
    "api": Part((_API, _INFER), examples=500, times=4, seconds=1200),
    # What reads images, labels, preprocessings and requests; tests with properties mark themselves.
    "readers": Part(("-m", "hypothesis or (fuzz and not live)", f"--ignore={_MODELS}"), 2000, 1, 3600),
    # 1000 damaged models through the check, and some through a running service.
    "models": Part((_MODELS,), examples=250, times=4, seconds=600),
    "uploads": Part((_UPLOADS,), examples=50, times=2, seconds=600),
}


def run(part: Part, seed: int) -> bool:
    """Run a part's tests once; whether all of them passed."""
    settings = {"FUZZ_EXAMPLES": str(part.examples), "FUZZ_SEED": str(seed)}
    command = ["-m", "pytest", "-s", f"--hypothesis-seed={seed}", *part.tests]
    shown = shlex.join([*(f"{name}={value}" for name, value in settings.items()), "python", *command])
    print(f"\n$ {shown}", flush=True)
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, env=os.environ | settings) as tests:  # noqa: S603 - constants and numbers
        try:
            return tests.wait(part.seconds) == 0
        except subprocess.TimeoutExpired:
            print(f"not done in {part.seconds} s")
            # As from the keyboard, so that the tests end what they started.
            tests.send_signal(signal.SIGINT)
            return False


def main() -> None:
    """Run the parts, all of them even if one fails, and say which failed."""
    first = int(os.environ.get("FUZZ_SEED", "") or time.time())
    names = sys.argv[1:] or list(PARTS)
    failed = [
        f"{name} with seed {first + number * PARTS[name].examples}"
        for name in names
        for number in range(PARTS[name].times)
        if not run(PARTS[name], first + number * PARTS[name].examples)
    ]
    print(f"\nfirst seed {first}: " + (f"failed: {', '.join(failed)}" if failed else "all parts passed"))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
