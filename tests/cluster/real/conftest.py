"""A real store, three machines on it, and the table of figures. Only `-m cluster` runs these tests."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.real import figures
from tests.cluster.real.ceph import Ceph
from tests.cluster.real.cluster import Cluster
from tests.cluster.real.network import bridge, run
from tests.live.service import ROOT

STORE = "10.77.0.253"
_PROGRAMS = ("ip", "nft", "ceph-mon", "ceph-osd", "radosgw", "curl")
_RESULTS = ROOT / "bench" / "results" / "cluster.md"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out unless they are asked for."""
    if "cluster" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("cluster")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def network() -> Iterator[str]:
    """A bridge; the address of the store on it."""
    missing = [
        name for name in _PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None
    ]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(missing) or 'its programs'}")
    with bridge():
        run("ip", "address", "add", f"{STORE}/32", "dev", "bridge0")
        yield STORE


@pytest.fixture(scope="session")
def store(network: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """Ceph's gateway."""
    with Ceph(tmp_path_factory.mktemp("ceph"), network) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(store: Ceph, cat: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three machines that serve; the last one is not ready while it lags behind the store."""
    made = Cluster(tmp_path_factory.mktemp("machines"), store, cat)
    try:
        for lag in ("serve", "serve", "unready"):
            made.add(store_lag=lag).start()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def figure() -> figures.Row:
    """Note what a case must keep, and what was measured."""
    return figures.Figures(_RESULTS).add
