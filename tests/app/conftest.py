"""Fixtures: the command line in this process, the small model, and a library that it has read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Outcome, Run
from small_world import TEXTS, World

from beyondrag.engine import Engine
from beyondrag.settings import Settings
from ingest.indexing import index
from ingest.pipeline import pending_volumes, read_volume
from kvfiles.codecs import DEFAULT_CODEC
from library.store import Library


@pytest.fixture
def beyondrag(beyondrag: Run) -> Run:
    """The same, and nothing that only a terminal or a programmer should see."""

    def run(*arguments: str | Path) -> Outcome:
        shown = beyondrag(*arguments)
        assert "internal error" not in shown.out + shown.err
        assert "\x1b" not in shown.out + shown.err
        return shown

    return run


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder that remembers the small model's hash between tests."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def read_world(tmp_path_factory: pytest.TempPathFactory, small_model_path: Path, models: Path) -> World:
    """Two documents, read; never changed: tests get copies."""
    folder = tmp_path_factory.mktemp("world")
    documents = folder / "documents"
    documents.mkdir()
    for name, text in TEXTS.items():
        (documents / name).write_text(text)
    settings_ = Settings(folder / "library", models, str(small_model_path), 2048, 2, DEFAULT_CODEC, "f16")
    with Library.create_or_open(settings_.library) as library, library.writing():
        report = index(library, [documents])
        with Engine(settings_, library) as engine:
            engine.prepare()
            pending = pending_volumes(library, report.document_ids, engine.profile, engine.reader)
            for volume in pending:
                read_volume(library, volume, engine.profile, engine.reader)
    return World(settings_, documents)


@pytest.fixture
def world(read_world: World, tmp_path: Path) -> World:
    """A library of one's own in which two documents are read."""
    copy = tmp_path / "library-copy"
    shutil.copytree(read_world.settings.library, copy)
    return read_world.with_(library=copy)


@pytest.fixture
def engine(world: World) -> Iterator[Engine]:
    with world.library() as library, Engine(world.settings, library) as opened:
        yield opened
