"""`python -m predictor.cluster.leave`: say that this machine is gone, after an orderly stop of its service.

It runs in a process of its own, because gunicorn's master must never use obstore, and it alone knows when the
last worker has ended. Without it the other machines wait until the last heartbeat is old.
"""

import os

from predictor.cluster.bucket import Bucket
from predictor.cluster.follower import LOCK
from predictor.cluster.machine_status import MachineStatus
from predictor.cluster.machines import Machines, machine_name
from predictor.config import Settings
from predictor.errors import PredictorError
from predictor.store.files import hold


def main() -> None:
    """Remove the heartbeat of this machine, unless a worker of another server goes on with it."""
    try:
        settings = Settings.from_environment()
        if (lock := hold(settings.data / LOCK)) is None:
            return
        bucket = Bucket.open(settings.store or "")
        name = machine_name(settings.data, settings.machine)
        Machines(bucket, name, MachineStatus(), settings.store_seconds).leave()
        os.close(lock)
    except PredictorError:
        return  # The heartbeat grows old.


if __name__ == "__main__":
    main()
