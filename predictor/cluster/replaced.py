"""Models of this machine alone, whose place those of the store take: they are kept in another folder."""

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path

from predictor.cluster.log import Change
from predictor.store import state
from predictor.store.files import Staging, move_folder, storage_errors
from predictor.store.registry import Registry

BEFORE = "before-store"
"""The folder in the data folder that holds them."""
_SHOWN = 12

log = logging.getLogger(__name__)


def named(own: Change, *changes: Change) -> bool:
    """Whether changes of all machines name all models and golden images of a machine's own state."""
    versions = {digest for change in changes for digest in change.manifests.values()}
    golden = {None} | {name.golden for change in changes for name in change.names.values()}
    return {*own.manifests.values()} <= versions and {name.golden for name in own.names.values()} <= golden


def keep(registry: Registry, staging: Staging, own: Change) -> None:
    """Keep the models of this machine, before those of the store take their place.

    Args:
        registry: the models.
        staging: where they are put together.
        own: the state of this machine.

    Raises:
        StorageFull: there is no room.
    """
    # The same models have the same place, however often the attempt to replace them fails.
    mark = hashlib.sha256(json.dumps(own.manifests, sort_keys=True).encode()).hexdigest()[:_SHOWN]
    target = registry.data / BEFORE / mark
    if not target.exists():
        with staging.new_folder() as folder:
            _copy(registry, folder)
            move_folder(folder, target)
    log.warning("The models of the store take the place of this machine's own, kept in %s/%s", BEFORE, mark)


def _copy(registry: Registry, folder: Path) -> None:
    with storage_errors():
        for one in (registry.models, registry.golden.root):
            if one.is_dir():
                shutil.copytree(one, folder / one.name, copy_function=_link)
        if (pointer := state.pointer(registry.data)).exists():
            _link(pointer, folder / pointer.name)


def _link(source: str | Path, target: str | Path) -> None:
    """Give a file, which is never changed but only replaced, a second place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
