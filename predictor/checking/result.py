"""The result of a check from its process: a whole answer of the expected form, if the exit code is 0."""

import json
import logging
import math
import signal
from typing import Annotated, Any, Literal

import pydantic

from predictor.checking.process import MAX_STDOUT, ProcessResult
from predictor.checking.report import Best, Reason, Refused, Report

_Words = tuple[Reason, str]
_TOO_LONG: _Words = ("time", "The check of the model did not end in time; the model may be too slow.")
_TOO_MUCH_MEMORY: _Words = ("memory", "The model needs more memory than a check may use.")
_CRASHED: _Words = ("crashed", "The model crashed the runtime during its check.")
_NO_ANSWER: _Words = ("no_answer", "The check of the model ended without a result.")
_BY_SIGNAL: dict[int, tuple[Reason, str]] = {
    signal.SIGXCPU: _TOO_LONG,
    signal.SIGALRM: _TOO_LONG,
    signal.SIGKILL: _TOO_MUCH_MEMORY,
}

log = logging.getLogger(__name__)


class CheckFailed(pydantic.BaseModel, extra="forbid", strict=True):
    """What a check answers of a model that it refuses."""

    ok: Literal[False]
    code: Reason
    reason: Annotated[str, pydantic.Field(min_length=1, max_length=500)]


_Some = pydantic.Field(min_length=1)


class _Best(pydantic.BaseModel, extra="forbid"):
    classes: Annotated[tuple[pydantic.NonNegativeInt, ...], _Some]
    scores: Annotated[tuple[float, ...], _Some]
    spread: pydantic.NonNegativeFloat


class CheckPassed(pydantic.BaseModel, extra="forbid"):
    """What a check answers of a model that passed: a `Report`."""

    ok: Literal[True]
    spec: dict[str, pydantic.JsonValue]
    nodes: pydantic.NonNegativeInt
    load_seconds: pydantic.PositiveFloat
    run_seconds: pydantic.PositiveFloat
    batch: pydantic.PositiveInt
    batch_seconds: pydantic.PositiveFloat
    memory_bytes: pydantic.NonNegativeInt
    warnings: list[str]
    best: list[_Best] = []
    gpu_bytes: pydantic.NonNegativeInt | None = None


_STDOUT: pydantic.TypeAdapter[CheckPassed | CheckFailed] = pydantic.TypeAdapter(
    Annotated[CheckPassed | CheckFailed, pydantic.Field(discriminator="ok")]
)


def parse_result(result: ProcessResult, heading: bytes = b"") -> Report:
    """The report of a process, which follows a heading in what it wrote.

    Raises:
        Refused: there is none, or it says so.
    """
    try:
        return _parse_result(result, heading)
    except Refused as refused:
        log.warning("A model was refused (%s); output of the check: %r", refused.reason, result.stderr)
        raise


def _parse_result(result: ProcessResult, heading: bytes) -> Report:
    if result.code is None:
        raise Refused(*_TOO_LONG)
    if len(result.stdout) > MAX_STDOUT:
        raise Refused(*_NO_ANSWER)
    if result.code < 0:
        raise Refused(*_BY_SIGNAL.get(-result.code, _CRASHED))
    if result.code > 0:
        raise Refused(*_NO_ANSWER)
    return _parse_stdout(result.stdout.removeprefix(heading))


def _parse_stdout(stdout: bytes) -> Report:
    try:
        read = _STDOUT.validate_python(json.loads(stdout, parse_constant=_finite, parse_float=_finite))
    except (ValueError, RecursionError) as error:
        raise Refused(*_NO_ANSWER) from error
    if isinstance(read, CheckFailed):
        raise Refused(read.code, read.reason)
    fields: dict[str, Any] = read.model_dump(exclude={"ok"})
    best = tuple(Best(**one) for one in fields["best"])
    return Report(**{**fields, "warnings": tuple(fields["warnings"]), "best": best})


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not a finite number")
    return value
