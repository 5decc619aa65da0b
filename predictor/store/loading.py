"""Names that do not serve for a while: an unloaded model's files stay, and it serves again once it is loaded.

That a name is unloaded is part of the state, so it holds for all workers and after a restart. An upload or an
activation loads a name, too.
"""

from predictor.errors import ModelConflict, ModelNotFound
from predictor.store.commit import ModelTransactions
from predictor.store.publish import now
from predictor.store.registry import ModelVersion, Registry
from predictor.store.state import Event, Name, State


class Loading:
    """Takes names out of service and puts them back, in all workers or in none.

    Both methods raise what those of `Publisher` raise if nothing could be changed.

    Args:
        registry: the models on disk.
        transactions: make changes take effect.
    """

    def __init__(self, registry: Registry, transactions: ModelTransactions) -> None:
        self._registry = registry
        self._transactions = transactions

    def unload(self, name: str) -> None:
        """Have no version of a name served; nothing changes if none is.

        Raises:
            ModelNotFound: there is no such name.
        """
        with self._transactions.change() as state:
            known = _known(state, name)
            if known.live is not None:
                after = known.switched(None, Event(now(), "unload", known.live))
                self._transactions.commit(state, name, after)

    def load(self, name: str) -> ModelVersion:
        """Have the version served that was live last; nothing changes if one is live.

        Raises:
            ModelNotFound: there is no such name.
            ModelConflict: none of its versions may serve.
            InvalidModel: its files are damaged.
        """
        with self._transactions.change() as state:
            known = _known(state, name)
            if known.live is not None:
                return self._registry.version(name, known.live)
            if (version := known.before()) is None:
                raise ModelConflict("None of the model's versions may serve; upload another one.")
            self._transactions.supplied(name, version).verify()
            self._transactions.commit(state, name, known.returned(version, Event(now(), "load", version)))
        return self._registry.version(name, version)


def _known(state: State, name: str) -> Name:
    if name not in state.names:
        raise ModelNotFound("No model has that name.")
    return state.names[name]
