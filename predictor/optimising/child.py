"""`python -m predictor.optimising.child`: the disposable process that makes, judges and times candidates.

It reads one `Job` as JSON from standard input and writes one line of JSON to standard output. It has the
sandbox of a check, but may write files in the folder in which it runs. A crash, no memory or no end is for
`predictor.optimising.processes` to see from outside.
"""

import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from predictor.checking.sandbox import abandoned, enter_sandbox
from predictor.errors import PredictorError
from predictor.model.hardware import this_machine
from predictor.model.onnx_runtime import runtime
from predictor.optimising.job import Job, Task, is_full

# Requests, and uploads, go first: the weight of a process falls by a tenth with each step.
_NICER = 10
_MAX_REASON = 500


def main() -> None:
    """Do the one job on standard input."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answer:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        os.nice(_NICER)
        job = Job.from_json(json.load(sys.stdin))
        tempfile.tempdir = str(Path.cwd())
        work = _work(job.task)
        # Later the sandbox hides what these read.
        this_machine()
        runtime()
        enter_sandbox(job.limits, _bytes(job), job.provider, scratch=Path())
        if abandoned(answer.fileno()):
            return
        logging.disable(logging.WARNING)
        answer.write(json.dumps(_reply(work, job), allow_nan=False) + "\n")


def _work(task: Task) -> Callable[[Job], dict[str, Any]]:
    """What does a task; the libraries that quantise are loaded for it alone."""
    if task == "make":
        from predictor.optimising.make import make

        return make
    from predictor.optimising import measure

    return measure.judge if task == "judge" else measure.pace


def _bytes(job: Job) -> int:
    return sum(Path(name).stat().st_size for name in job.models)


def _reply(work: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
    try:
        return {"ok": True, **work(job)}
    except PredictorError as error:
        return {"ok": False, "reason": error.detail[:_MAX_REASON]}
    except MemoryError:
        return {"ok": False, "reason": "It needs more memory than an optimisation may use."}
    except Exception as error:
        if not is_full(error):
            raise
        return {"ok": False, "full": True, "reason": "The disk is full."}


if __name__ == "__main__":
    main()
    # The answer is written: to take the libraries down in order would only take time.
    os._exit(0)
