"""A service with a pretended model on an empty library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from listening import Ear
from pretend_seat import Pretence
from service_room import Gate, Room

from beyondrag.service.service import EngineService
from beyondrag.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "library", tmp_path / "models", "pretended", 4096, 1, "k4v4", "f16")


@pytest.fixture
def pretence() -> Pretence:
    return Pretence(slices={"a": 3, "b": 2})


@pytest.fixture
def idle(settings: Settings, pretence: Pretence) -> Iterator[Room]:
    """Not yet started."""
    service = EngineService(settings, open_seat=pretence.open)
    yield Room(service, pretence, Ear())
    service.close()
    assert pretence.n_open == 0, "every seat is closed"


@pytest.fixture
def room(idle: Room) -> Room:
    """Started."""
    idle.service.start(idle.ear)
    return idle


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open()
