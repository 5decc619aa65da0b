"""`python -m predictor.cluster.proof`: does the store of the settings keep its word?

It runs in a process of its own before the service starts, because gunicorn's master must never use obstore.
Exit code 0: it does. 1: it does not, and the sentence on standard output says why. 2: it does not answer.
"""

import secrets
import sys

from predictor.cluster.bucket import Bucket, Unavailable
from predictor.config import Settings
from predictor.errors import ConfigError

BROKEN, SILENT = 1, 2
"""Exit codes."""


def main() -> int:
    """Prove the store; the exit code."""
    try:
        store = Settings.from_environment().store or ""
        if fault := prove(Bucket.open(store)):
            sys.stdout.write(fault)
            return BROKEN
    except Unavailable as error:
        sys.stdout.write(error.detail)
        return SILENT
    except ConfigError as error:
        sys.stdout.write(error.detail)
        return BROKEN
    return 0


def prove(bucket: Bucket) -> str | None:
    """Write an object twice that must be written once; a sentence if the store does not keep its word.

    Raises:
        Unavailable: the store does not answer.
    """
    key = f"proof/{secrets.token_hex(16)}"
    if not bucket.create(key, b"first"):
        return "it refuses to write an object that is not there"
    try:
        if bucket.create(key, b"second") or bucket.get(key) != b"first":
            return (
                "it overwrites an object that must not be overwritten (it ignores If-None-Match), so that "
                "changes of several machines could be lost"
            )
        if [entry.key for entry in bucket.entries("proof/") if entry.key == key] != [key]:
            return "it does not list an object that was just written"
    finally:
        bucket.remove([key])
    return None


if __name__ == "__main__":
    sys.exit(main())
