"""What the tests of the server share."""

from collections.abc import Iterator

import pytest

from tests.server.connections import Pair, connected


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A connection."""
    with connected() as made:
        yield made
