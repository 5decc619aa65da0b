"""The rooms stand in a line: nobody reaches up, nothing goes in circles, and each library has one user."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "predictor"
# Each folder may import itself, the ground, and the folders named here; nobody imports `server`.
MAY_IMPORT = {
    "image": set[str](),
    "fetch": set[str](),
    "model": {"image"},
    "discovery": {"model", "image"},
    "importing": {"discovery", "model"},
    "checking": {"importing", "discovery", "model", "image"},
    "store": {"model", "image"},
    "cluster": {"store"},
    "sources": {"importing", "fetch"},
    "server": {"store", "model", "fetch", "sources"},
    "evaluation": {"checking", "importing", "discovery", "model", "image"},
    "optimising": {"evaluation", "checking", "discovery", "model", "image"},
    "bulk": {"cluster", "evaluation", "store", "fetch", "model", "image"},
    "commands": {
        *("bulk", "optimising", "cluster", "evaluation", "sources", "checking", "importing", "fetch"),
        *("model", "image"),
    },
    "inference": {"store", "discovery", "model", "image", "fetch"},
    "explaining": {"inference", "store", "model", "image"},
    "runtime": {
        *("explaining", "inference", "optimising", "evaluation", "cluster", "store", "checking", "discovery"),
        *("model", "image", "fetch"),
    },
    "web": {
        "runtime",
        "explaining",
        "inference",
        "evaluation",
        "store",
        "sources",
        "importing",
        "checking",
        "model",
        "image",
        "fetch",
    },
}
SOLE_USERS = {
    "requests": {"predictor.fetch.client", "predictor.client_http"},
    "onnxruntime": {
        "predictor.model.onnx_runtime",
        "predictor.model.session",
        "predictor.optimising.quantisers",
    },
    "pynvml": {"predictor.model.device"},
    "flask_caching": {"predictor.inference.cache", "predictor.inference.cache_sqlite"},
    "obstore": {"predictor.cluster.bucket", "predictor.cluster.listing", "predictor.cluster.objects"},
    "fcntl": {"predictor.store.files"},
    "model_signing": {"predictor.sources.signature"},
    "multipart": {"predictor.web.forms"},
    "opentelemetry": {"predictor.web.tracing"},
    "zipfile": {"predictor.archives"},
    "pyarrow": {"predictor.bulk.parquet"},
    "ray": {"predictor.bulk.on_ray"},
}
# The last is a plugin of Pillow that may be missing.
PURE = {"numpy", "PIL", "predictor", "pillow_heif"}
VAGUE = re.compile(r"utils?|helpers?|common|managers?|misc")
PACKAGES = {".".join(path.parent.relative_to(PACKAGE.parent).parts) for path in PACKAGE.glob("*/__init__.py")}
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


@cache
def imports(module: str) -> set[str]:
    """The modules that a module imports, wherever the statement stands."""
    found = set[str]()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(inner & MODULES.keys() or {node.module})
    return found


def room(module: str) -> str:
    """The folder that a module stands in; empty for those that stand in none."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 or module in PACKAGES else ""


def inner(module: str) -> set[str]:
    """What a module imports of this package."""
    return {name for name in imports(module) if name.startswith("predictor")}


def test_folders() -> None:
    """Each folder has its row in the plan, and each row its folder."""
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}

    assert folders == MAY_IMPORT.keys()


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_nobody_reaches_up(folder: str) -> None:
    """A folder imports only itself, the folders below, and files that stand on the ground."""
    below = MAY_IMPORT[folder] | {folder}
    modules = [module for module in MODULES if room(module) == folder]

    found = {(module, name) for module in modules for name in inner(module)}

    assert {pair for pair in found if room(pair[1]) and room(pair[1]) not in below} == set()
    assert {pair for pair in found if not room(pair[1]) and pair[1] not in ground()} == set()


@cache
def ground() -> set[str]:
    """The files outside of folders that import no folder."""
    flat = {module for module in MODULES if not room(module)}
    return {module for module in flat if not any(room(name) for name in inner(module))}


def test_plan_has_an_order() -> None:
    """The plan itself goes down: no folder may import, through others, itself."""
    left = dict(MAY_IMPORT)
    while lowest := [folder for folder, below in left.items() if not below & left.keys()]:
        for folder in lowest:
            del left[folder]

    assert left == {}


def test_nobody_imports_the_server() -> None:
    """What runs inside gunicorn is named to gunicorn; the service does not know of it."""
    assert [
        module
        for module in MODULES
        if room(module) != "server"
        and "predictor.server" in {name.rsplit(".", 1)[0] for name in inner(module)}
    ] == []


def test_no_cycles() -> None:
    """No module imports itself through others."""
    graph = {module: imports(module) & MODULES.keys() for module in MODULES}
    done = set[str]()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"cycle: {' -> '.join((*trail, module))}"
        if module not in done:
            for imported in graph[module]:
                visit(imported, (*trail, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("library", SOLE_USERS)
def test_one_user(library: str) -> None:
    """Each of these libraries is wrapped in one place."""
    users = {module for module in MODULES if library in {name.split(".")[0] for name in imports(module)}}

    assert users <= SOLE_USERS[library]
    assert users


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("predictor.image.")])
def test_pure_room(module: str) -> None:
    """The image room touches no network, no disk and no web framework."""
    import sys

    foreign = {name.split(".")[0] for name in imports(module)} - set(sys.stdlib_module_names)

    assert foreign <= PURE


def test_packages_export_nothing() -> None:
    """A package's `__init__` holds its description and nothing else."""
    for module, path in MODULES.items():
        if path.name == "__init__.py":
            assert not imports(module)


def test_names() -> None:
    """No module has a name that could hold anything."""
    assert not [name for name in MODULES if VAGUE.fullmatch(name.rsplit(".", 1)[-1])]


def test_small_functions() -> None:
    """No function's body is longer than forty lines."""
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                doc = ast.get_docstring(node, clean=False) or ""
                length = (node.end_lineno or 0) - node.lineno - doc.count("\n")
                nested = sum(
                    (inner.end_lineno or 0) - inner.lineno + 1
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.FunctionDef) and inner is not node
                )
                assert length - nested <= 40, f"{module}.{node.name}"
