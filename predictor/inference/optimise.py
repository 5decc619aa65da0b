"""`python -m predictor.inference.optimise`: the disposable process that writes shared weights.

It reads one JSON object from standard input and ends with 0 once all is written.
"""

import json
import os
import signal
import sys
from pathlib import Path

from predictor.inference.shared_weights import fill

# Requests go first.
_NICENESS = 5


def main() -> None:
    """Do what is asked on standard input."""
    asked = json.load(sys.stdin)
    os.nice(_NICENESS)
    # The process ends itself even if its parent's end passed unseen.
    signal.setitimer(signal.ITIMER_REAL, asked["seconds"])
    fill(Path(asked["model"]), Path(asked["folder"]), asked["report"], asked["room"])


if __name__ == "__main__":
    main()
    # To take the libraries down in order would only take time.
    os._exit(0)
