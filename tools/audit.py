"""Ask a public list of vulnerabilities about every package that is installed here: `python -m tools.audit`.

Exit code 0: none is known, or the list could not be asked, and then a sentence says so. 1: some are, and each
package is named. 2: `pip-audit` itself failed.
"""

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LIST = "https://api.osv.dev/v1/query"
SECONDS = 120.0
_ANSWER_SECONDS = "10"
# Python's own installers: they come with it, and serve nobody.
_NOT_OURS = {"pip", "setuptools", "wheel"}
_UNREACHABLE = re.compile(
    r"(Connect(ion)?(Error|Timeout)|ReadTimeout|Timeout|SSLError|ProxyError|ServiceError|HTTPError|JSONDecodeError)\b"
    r"|Could not connect"
)


def main() -> int:
    """Audit, say what came of it, and give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--list", default=LIST, help="the list's address, in the protocol of OSV")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="most time that this may take")
    given = parser.parse_args()
    pinned = sorted(_installed())
    try:
        run = _pip_audit(pinned, given.list, given.seconds)
    except subprocess.TimeoutExpired:
        return _skipped(f"it did not answer within {given.seconds:g} seconds")
    return _judged(run, len(pinned))


def _installed() -> Iterator[str]:
    """Every installed package with its version."""
    for found in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
        if name not in _NOT_OURS:
            yield f"{name}=={found.version}"


def _pip_audit(pinned: list[str], address: str, seconds: float) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "installed.txt")
        path.write_text("\n".join(pinned))
        return subprocess.run(  # noqa: S603 (the command is our own)
            [
                sys.executable, "-m", "pip_audit",
                "--requirement", str(path), "--no-deps", "--disable-pip",
                "--vulnerability-service", "osv", "--osv-url", address,
                "--timeout", _ANSWER_SECONDS, "--format", "json", "--progress-spinner", "off",
                "--cache-dir", folder,
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
        )  # fmt: skip


def _judged(run: subprocess.CompletedProcess[str], packages: int) -> int:
    try:
        found = [one for one in json.loads(run.stdout)["dependencies"] if one.get("vulns")]
    except (ValueError, KeyError, TypeError):
        last = run.stderr.strip().rpartition("\n")[2]
        if run.returncode and _UNREACHABLE.search(last):
            return _skipped("it cannot be reached")
        print(f"pip-audit failed: {last or f'exit code {run.returncode}'}", file=sys.stderr)
        return 2
    for one in found:
        print(f"{one['name']} {one['version']}: {'; '.join(map(_named, one['vulns']))}", file=sys.stderr)
    if not found:
        print(f"No known vulnerability in {packages} packages.")
    return 1 if found else 0


def _named(vulnerability: dict[str, Any]) -> str:
    fixed = " or ".join(vulnerability.get("fix_versions", [])) or "nothing yet"
    return f"{vulnerability['id']}, fixed by {fixed}"


def _skipped(why: str) -> int:
    print(f"Skipped the audit of packages: the list of vulnerabilities was not asked, since {why}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
