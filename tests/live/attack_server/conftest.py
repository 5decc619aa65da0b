"""The real service behind the real nginx."""

from collections.abc import Iterator

import pytest

from tests.live.proxy import Proxy
from tests.live.service import Service


@pytest.fixture(scope="session")
def proxy(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """An nginx in front of the session's service."""
    with Proxy(tmp_path_factory.mktemp("nginx"), service.port) as running:
        yield running
