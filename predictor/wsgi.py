"""What gunicorn loads in each worker, after the fork.

Where workers die one after the other at their start, the next ones wait before they load: `server/lifetime`
says how long. They wait here, where gunicorn's signals are already handled.
"""

import logging
import os
import sys
import time
from typing import TYPE_CHECKING

from predictor import shared

if TYPE_CHECKING:
    from flask import Flask

EXIT_CODE = 71
"""Of a worker that could not load the application although another one could; gunicorn stops for 3 and 4."""

log = logging.getLogger(__name__)


def load() -> "Flask":
    """Build the application when this worker is due; a failure must not stop the other workers."""
    time.sleep(max(0.0, float(os.environ.get(shared.DUE_VARIABLE, "0")) - time.monotonic()))
    try:
        # To import all of it may fail as well, where memory is short.
        from predictor.app import create_app
        from predictor.config import Settings
        from predictor.model.onnx_runtime import runtime

        runtime()
        made = create_app(Settings.from_environment())
    except Exception:
        # A service that never loaded may as well not start.
        if not shared.loaded[0]:
            raise
        log.exception("The application could not be loaded; another worker will try again")
        sys.exit(EXIT_CODE)
    shared.loaded[0] = 1
    return made


app = load()
