"""The models of a store as JSON."""

from dataclasses import asdict
from typing import Any

from predictor.errors import InvalidModel
from predictor.store.registry import ModelVersion, Registry
from predictor.store.state import Name


def models_json(registry: Registry) -> dict[str, Any]:
    """All models (`schemas.Models`)."""
    return {"models": [model_json(registry, name) for name in sorted(registry.read().names)]}


def model_json(registry: Registry, name: str) -> dict[str, Any]:
    """One model (`schemas.Model`).

    Raises:
        ModelNotFound: no model has that name.
    """
    known = registry.name(name)
    return {
        "name": name,
        "live": known.live,
        "before": known.before(),
        "versions": [_version(registry, name, known, version) for version in reversed(known.versions)],
        "history": [asdict(event) for event in known.history],
    }


def _version(registry: Registry, name: str, known: Name, version: int) -> dict[str, Any]:
    described = {
        "version": version,
        "live": version == known.live,
        "quarantined": known.quarantined.get(version),
    }
    try:
        return described | _details(registry.version(name, version))
    except InvalidModel as error:
        return described | _UNKNOWN | {"quarantined": error.detail}


_UNKNOWN: dict[str, Any] = {
    "digest": "",
    "created": None,
    "model": "",
    "labels": None,
    "files": {},
    "classes": None,
    "preprocessing": None,
    "report": None,
}


def _details(version: ModelVersion) -> dict[str, Any]:
    manifest = version.manifest
    if manifest is None:
        return _UNKNOWN | {"digest": version.digest, "model": version.path.name}
    return {
        "digest": version.digest,
        "created": manifest.created,
        "model": manifest.model,
        "labels": manifest.labels,
        "files": dict(manifest.files),
        "classes": manifest.report.get("classes"),
        "preprocessing": manifest.report.get("preprocessing"),
        "report": dict(manifest.report),
    }
