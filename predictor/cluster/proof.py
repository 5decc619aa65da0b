"""`python -m predictor.cluster.proof`: does the store of the settings keep its word?

It runs in a process of its own before the service starts, because gunicorn's master must never use obstore.
Exit code 0: it does. 3: it does not, or refuses a machine that has no copy of its models; the sentence on
standard output says why. 4: it does not answer, so that the service goes on with its copy.
"""

import secrets
import sys

from predictor.cluster.bucket import Bucket, Unavailable
from predictor.cluster.local import POSITION
from predictor.config import Settings
from predictor.errors import ConfigError

BROKEN, SILENT = 3, 4
"""Exit codes."""


def main() -> int:
    """Prove the store; the exit code."""
    try:
        settings = Settings.from_environment()
        fault = prove(Bucket.open(settings.store or ""))
    except Unavailable as error:
        if not error.refused or (settings.data / POSITION).exists():
            return SILENT
        fault = "it refuses requests: check the name of the bucket and the credentials"
    except ConfigError as error:
        fault = error.detail
    sys.stdout.write(fault or "")
    return BROKEN if fault else 0


def prove(bucket: Bucket) -> str | None:
    """Write an object twice that must be written once; a sentence if the store does not keep its word.

    Raises:
        Unavailable: the store does not answer.
    """
    key = f"proof/{secrets.token_hex(16)}"
    if not bucket.create(key, b"first"):
        return "it refuses to write an object that is not there; choose another store"
    try:
        if bucket.create(key, b"second") or bucket.get(key) != b"first":
            return (
                "it overwrites an object that must not be overwritten (it ignores If-None-Match), so that "
                "changes of several machines could be lost; choose another store"
            )
        if [entry.key for entry in bucket.entries("proof/") if entry.key == key] != [key]:
            return "it does not list an object that was just written; choose another store"
    finally:
        bucket.remove([key])
    return None


if __name__ == "__main__":
    sys.exit(main())
