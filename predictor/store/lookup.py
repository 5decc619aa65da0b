"""A name or version that a caller asks for, found in the state, or a sentence on why it is not there.

A sentence repeats the name of a model that is there, and never one that a caller made up.
"""

from collections.abc import Collection

from predictor.errors import ModelConflict, ModelNotFound
from predictor.model.strict_text import nearest, some
from predictor.store.state import Name, State

_LISTED = 5


def known(state: State, name: str) -> Name:
    """A model's versions.

    Raises:
        ModelNotFound: no model has that name.
    """
    if (found := state.names.get(name)) is None:
        near = nearest(name, state.names)
        meant = f"did you mean {near}? " if near else ""
        raise ModelNotFound(f"No model has that name; {meant}GET /models lists the models.")
    return found


def present(state: State, name: str, version: int) -> Name:
    """A model's versions, of which one is that version.

    Raises:
        ModelNotFound: no model has that name, or it has no such version.
    """
    found = known(state, name)
    if version not in found.versions:
        raise ModelNotFound(
            f"The model {name} has no such version; it has {_versions(found.versions)}. "
            f"GET /models/{name} lists its versions."
        )
    return found


def not_served(name: str, found: Name) -> ModelNotFound:
    """Why a model whose name is known does not answer, and what makes it answer."""
    if found.live is not None:
        return ModelNotFound(f"The model {name} is being loaded or deleted at this moment; try again.")
    if found.history and found.history[-1].action == "unload":
        return ModelNotFound(
            f"The model {name} is unloaded; POST /v2/repository/models/{name}/load loads it."
        )
    good = [version for version in found.versions if found.good(version)]
    if good:
        return ModelNotFound(
            f"The model {name} has no live version; activate one with POST /models/{name}/activate. It has "
            f"{_versions(good)}."
        )
    return ModelNotFound(
        f"None of the versions of the model {name} can serve, for they are quarantined; upload another one. "
        f"GET /models/{name} says why."
    )


def not_deleted(name: str, version: int, found: Name, *, whole: bool) -> ModelConflict:
    """Why a live version stays, and what to do.

    Args:
        name: of the model.
        version: the live one.
        found: the model's versions.
        whole: whether the model can be deleted with all its versions.
    """
    others = [one for one in found.versions if one != version and found.good(one)]
    if others:
        advice = f"activate another version first, such as {max(others)}"
    elif whole:
        advice = f"no other version can take its place. To delete the whole model, send DELETE /models/{name}"
    else:
        advice = "upload another model first"
    return ModelConflict(f"Version {version} of {name} is live and cannot be deleted: {advice}.")


def _versions(numbers: Collection[int]) -> str:
    """The newest few versions, in order."""
    newest = some([str(number) for number in sorted(numbers)[-_LISTED:]], _LISTED)
    if len(numbers) > _LISTED:
        return f"{len(numbers)} versions, the newest are {newest}"
    return f"the versions {newest}" if len(numbers) > 1 else f"version {newest}"
