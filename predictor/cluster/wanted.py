"""What a change of all machines asks of this one, compared with what this machine knows and has."""

import dataclasses
from collections.abc import Mapping

from predictor.cluster.arrivals import digest_of
from predictor.cluster.golden import SharedGolden
from predictor.cluster.log import Change
from predictor.store.registry import DEFAULT, Registry
from predictor.store.state import CRASHED, Event, Name


class Wanted:
    """Compares changes with the models of this machine.

    Args:
        registry: those models.
        golden: their golden images.
    """

    def __init__(self, registry: Registry, golden: SharedGolden) -> None:
        self._registry = registry
        self._golden = golden

    def names(self, change: Change) -> dict[str, Name]:
        """What is to be known here, with the deaths of workers here and what was quarantined after them."""
        state, wanted = self._registry.read(), {}
        for name, shared in change.names.items():
            own = state.names.get(name, Name())
            known = dataclasses.replace(shared, deaths=own.deaths)
            bad = {one: CRASHED for one in own.crashed if shared.good(one) and self._same(name, one, change)}
            if bad:
                known = dataclasses.replace(known, quarantined={**known.quarantined, **bad})
            if known.live in bad:
                before = known.before()
                event = next((one for one in own.history[::-1] if one.action == "quarantine"), None)
                known = known.returned(before, event or Event(change.time, "quarantine", known.live or 0))
            wanted[name] = known
        return wanted

    def lacking(self, change: Change, *, live: bool) -> list[tuple[str, int]]:
        """The versions that are not here, or not as they were uploaded.

        Args:
            change: it names them.
            live: whether those that serve are meant, or the others.
        """
        state, wanted, found = self._registry.read(), self.names(change), []
        for name, version in self.versions(wanted):
            quarantined = state.names.get(name, Name()).quarantined
            damaged = version in quarantined and version not in wanted[name].quarantined
            if damaged or not self._same(name, version, change):
                found.append((name, version))
        return [(name, version) for name, version in found if (version == wanted[name].live) == live]

    def news(self, change: Change) -> str | None:
        """A name of which this machine knows what the others are to know, if there is one.

        It had models before any machine made a change, it quarantined a version that crashed its workers, or
        a former release kept golden images here alone.
        """
        if change.serial == 0 and not initial(change.names):
            return next(iter(change.names))
        for name, known in self._registry.read().names.items():
            shared = change.names.get(name, Name())
            if shared.golden is None and self._golden.former(name):
                return name
            if any(shared.good(version) and self._same(name, version, change) for version in known.crashed):
                return name
        return None

    def versions(self, names: Mapping[str, Name]) -> list[tuple[str, int]]:
        """The versions of names whose files are not those of the service itself."""
        return [
            (name, version)
            for name, known in names.items()
            for version in known.versions
            if not self._registry.permanent(name, version)
        ]

    def _same(self, name: str, version: int, change: Change) -> bool:
        return digest_of(self._registry.folder(name, version)) == change.manifests.get(f"{name}/{version}")


def initial(names: Mapping[str, Name]) -> bool:
    """Whether names are those of a service that was never changed."""
    return names.keys() <= {DEFAULT} and not any(one.history or one.golden for one in names.values())
