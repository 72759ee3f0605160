"""Fixtures: an empty library in a folder whose name is not plain, and how hard to try."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from effort import Effort, effort_of

from library.store import Library


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "Meine Bücherei 図書館"


@pytest.fixture
def library(root: Path) -> Iterator[Library]:
    with Library.create_or_open(root) as opened:
        yield opened


@pytest.fixture
def effort(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Effort:
    """The seed is told at the beginning: it must be known of a run that hangs or is killed, too."""

    def write(line: str) -> None:
        with capfd.disabled():
            print(f"\n{line}", flush=True)

    found = effort_of(request.node.name, write)
    found.tell()
    return found
