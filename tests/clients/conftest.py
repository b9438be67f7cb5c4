"""The node that a file's client is pointed at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.served import Served, served


@pytest.fixture(scope="module")
def node(model_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A node with a model that chats and one that makes vectors."""
    with served(tmp_path_factory.mktemp("served"), model_cache) as found:
        yield found
