"""`python -m predictor.cluster.proof`: does the store of the settings keep its word?

It runs in a process of its own before the service starts, because gunicorn's master must never use obstore.
Exit code 0: it does. 3: it does not, or refuses a machine that has no copy of its models; the sentence on
standard output says why. 4: it does not answer, so that the service goes on with its copy.
"""

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
        fault = Bucket.open(settings.store or "").fault()
    except Unavailable as error:
        if not error.refused or (settings.data / POSITION).exists():
            return SILENT
        fault = (
            f"it refuses requests ({error.reason}): check the name of the bucket or folder, the "
            "credentials, and the clock of this machine"
        )
    except ConfigError as error:
        fault = error.detail
    sys.stdout.write(fault or "")
    return BROKEN if fault else 0


if __name__ == "__main__":
    sys.exit(main())
