"""The rooms stand in a line: nobody reaches up, nothing goes in circles, and each library has one user."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "predictor"
GROUND = {
    f"predictor.{name}"
    for name in (
        "announce",
        "config",
        "errors",
        "logs",
        "gthread",
        "lifetime",
        "problem",
        "readers",
        "refusals",
        "shipped",
        "slots",
    )
}
# Each room may import itself, the ground, and the rooms named here.
MAY_IMPORT = {
    "image": set[str](),
    "model": {"image"},
    "evaluation": {"model", "image"},
    "store": {"model", "image"},
    "fetch": set[str](),
    "runtime": {"store", "evaluation", "model", "image", "fetch"},
    "web": {"runtime", "store", "evaluation", "model", "image", "fetch"},
    "app": {"web", "runtime", "store", "model", "image", "fetch"},
    "wsgi": {"app"},
    "bulk": {"evaluation", "model", "image"},
    "cli": {"bulk", "evaluation", "model", "image", "fetch"},
    "__main__": {"cli"},
}
SOLE_USERS = {
    "requests": {"predictor.fetch.client"},
    "onnxruntime": {"predictor.model.session"},
    "pynvml": {"predictor.model.device"},
    "flask_caching": {"predictor.runtime.cache", "predictor.runtime.cache_backend"},
    "fcntl": {"predictor.store.lock"},
}
PURE = {"numpy", "PIL", "predictor"}
VAGUE = re.compile(r"utils?|helpers?|common|managers?|misc")
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


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
    """The room that a module stands in."""
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("module", sorted(MODULES))
def test_nobody_reaches_up(module: str) -> None:
    """A module imports only its own room, the ground and the rooms below."""
    if module in GROUND or module == "predictor":
        allowed = set[str]()
    else:
        allowed = MAY_IMPORT[room(module)] | {room(module)}

    inner = {name for name in imports(module) if name.startswith("predictor.")} - GROUND

    assert {room(name) for name in inner} <= allowed


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
    """The picture room touches no network, no disk and no web framework."""
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
