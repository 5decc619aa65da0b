"""Which tests try to break which promise: reads their markers, writes the table of `docs/reliability.md`.

    python -m tools.promises

The sentences and figures of the promises are kept in the table itself; only its last column is written.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "reliability.md"
ROW = re.compile(r"^\| ([A-Z]\d+) \| (.+?) \| (.+?) \| (.*)\|$", re.MULTILINE)
"""A promise: its id, the sentence, the figure, the tests."""


def marked(folder: Path) -> dict[str, list[str]]:
    """The tests of each promise as `path::name`, in the order of their files; nothing is imported."""
    found = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        for name, test in _functions(ast.parse(path.read_text())):
            for promise in _promises(test):
                found[promise].append(f"{path.relative_to(folder.parent).as_posix()}::{name}")
    return dict(found)


def _functions(module: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from (
                (f"{node.name}::{one.name}", one) for one in node.body if isinstance(one, ast.FunctionDef)
            )


def _promises(test: ast.FunctionDef) -> Iterator[str]:
    for decorator in test.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.promise":
            yield from (str(ast.literal_eval(argument)) for argument in decorator.args)


def written(document: str, tests: Mapping[str, Sequence[str]]) -> str:
    """The document with the tests of each promise in the last column, as links."""

    def row(found: re.Match[str]) -> str:
        links = [
            f"[`{test.partition('::')[2]}`](../{test.partition('::')[0]})" for test in tests.get(found[1], ())
        ]
        return f"| {found[1]} | {found[2]} | {found[3]} | {', '.join(links)} |"

    return ROW.sub(row, document)


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(), marked(ROOT / "tests")))
