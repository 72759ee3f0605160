"""Fixtures: an empty library in a folder whose name is not plain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from library.store import Library


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "Meine Bücherei 図書館"


@pytest.fixture
def library(root: Path) -> Iterator[Library]:
    with Library.create_or_open(root) as opened:
        yield opened
