"""Have a model tried in a process of its own, which may crash, hang or grow without harm to this one."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import predictor
from predictor.checking.process import run
from predictor.checking.report import Report, Request
from predictor.checking.result import parse_result

COMMAND = (sys.executable, "-P", "-s", "-m", "predictor.checking.check")
"""Starts the check; without the working folder, in which the upload lies, among the places of modules."""

ENVIRONMENT: Mapping[str, str] = {
    "PYTHONPATH": str(Path(predictor.__file__).resolve().parents[1]),
    # The check may start no threads, and numpy's library would start one for each core.
    "OPENBLAS_NUM_THREADS": "1",
}


def try_model(folder: Path, request: Request, *, command: Sequence[str] = COMMAND) -> Report:
    """Try a model in a process of its own.

    Args:
        folder: where the process runs; it holds the files that `request` names and nothing else.
        request: what to try; `request.limits` bounds the time that this takes.
        command: what to run.

    Returns:
        What was found out about the model.

    Raises:
        Refused: the model cannot be served, or its check crashed, hung or grew; the sentence says why.
        Internal: the process could not be started.
        NotReady: the machine is too busy.
    """
    return parse_result(run(folder, request, command, ENVIRONMENT))
