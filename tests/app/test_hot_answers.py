"""Questions to a library of archives: the second time they are answered from hot copies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Run
from small_world import TEXTS, World
from tiny_calibration import short_texts

from beyondrag.calibration.running import calibrate_model
from beyondrag.calibration.store import CalibrationStore
from beyondrag.engine import Engine
from beyondrag.events import Answer, Attached, Done, PlacedPart
from beyondrag.hot_cache import HOT_CODEC
from beyondrag.models import ModelStore
from beyondrag.settings import Settings
from beyondrag.turn import AskOptions
from ingest.indexing import index
from ingest.pipeline import pending_volumes, read_volume
from kvfiles.runtime.model import Model
from library.store import Library
from library.upkeep import Upkeep

pytestmark = [pytest.mark.model, pytest.mark.slow]

QUESTION = "How old was the keeper at Skerry Point?"
BOTH = AskOptions(max_tokens=16, check=False, documents=("harbour", "bakery"))


@pytest.fixture(scope="module")
def read_archives(tmp_path_factory: pytest.TempPathFactory, small_model: Model) -> World:
    """Two documents in the archive codec, with a calibration on very little text; never changed."""
    folder = tmp_path_factory.mktemp("archives")
    documents, models = folder / "documents", folder / "models"
    documents.mkdir()
    for name, text in TEXTS.items():
        (documents / name).write_text(text)
    settings = Settings(folder / "library", models, str(small_model.path), 2048, 1, "archive", "f16")
    sha256 = ModelStore(models).sha256(small_model.path)
    calibrate_model(small_model, sha256, short_texts(), CalibrationStore(models), n_threads=1)
    with Library.create_or_open(settings.library) as library, library.writing():
        report = index(library, [documents])
        with Engine(settings, library) as engine:
            assert engine.warnings == ()
            engine.prepare()
            for volume in pending_volumes(library, report.document_ids, engine.profile, engine.reader):
                read_volume(library, volume, engine.profile, engine.reader)
    return World(settings, documents)


@pytest.fixture
def archives(read_archives: World, tmp_path: Path) -> World:
    shutil.copytree(read_archives.settings.library, tmp_path / "library")
    return read_archives.with_(library=tmp_path / "library", hot_cache=50_000_000)


@pytest.fixture
def engine(archives: World) -> Iterator[Engine]:
    with archives.library() as library, Engine(archives.settings, library) as opened:
        yield opened


def asked(engine: Engine, options: AskOptions = BOTH) -> tuple[Answer, tuple[PlacedPart, ...]]:
    events = list(engine.ask(QUESTION, options))
    (attached,) = (event for event in events if isinstance(event, Attached))
    (done,) = (event for event in events if isinstance(event, Done))
    return done.answer, attached.parts


def never() -> bool:
    return False


def test_the_second_answer_is_attached_from_hot_copies(engine: Engine) -> None:
    first, parts = asked(engine)
    assert [(part.codec, part.hot) for part in parts] == [("archive", False)] * 2
    assert engine.library.hot.copies() == [], "not in the time that the answer takes"
    assert engine.n_hot_copies_wanted == 2
    assert engine.make_hot_copies(never) == ""
    second, hot = asked(engine)
    assert [(part.codec, part.hot, part.read_from) for part in hot] == [(HOT_CODEC, True, "snapshot")] * 2
    assert all(one.bits > archive.bits for one, archive in zip(hot, parts, strict=True))
    assert [(part.first, part.stop) for part in hot] == [(part.first, part.stop) for part in parts]
    assert (second.answer, second.sources) == (first.answer, first.sources)
    assert first.prefilled_tokens == second.prefilled_tokens == 0
    assert engine.n_hot_copies_wanted == 0
    totals = engine.library.hot.totals()
    assert (totals.n_copies, totals.n_hits, totals.n_misses) == (2, 2, 2)
    assert Upkeep(engine.library).verify(deep=True).sound


def test_copies_are_made_beside_what_stands_in_the_context(engine: Engine) -> None:
    """The documents of a conversation stay where they are."""
    dialogue = engine.dialogue()
    list(dialogue.ask(QUESTION, BOTH))
    n_tokens = engine.context.end(0)
    state = engine.context.state(0)
    assert engine.make_hot_copies(never) == ""
    assert engine.library.hot.totals().n_copies == 2
    assert engine.context.end(0) == n_tokens > 0
    assert (engine.context.state(0) == state).all()


def test_damage_in_a_copy_costs_the_copy_alone(engine: Engine) -> None:
    first, _ = asked(engine)
    engine.make_hot_copies(never)
    contents = [copy.content for copy in engine.library.hot.copies()]
    for content in contents:
        path = engine.library.hot.path(content)
        data = bytearray(path.read_bytes())
        data[-2000] ^= 0xFF
        path.write_bytes(data)
    again, parts = asked(engine)
    assert [part.codec for part in parts] == ["archive"] * 2
    assert again.answer == first.answer
    assert again.prefilled_tokens == 0, "the archives are as good as before"
    assert engine.library.hot.copies() == []
    engine.make_hot_copies(never)
    assert all(part.hot for part in asked(engine)[1])


def test_switched_off_it_empties_the_folder(engine: Engine, archives: World) -> None:
    asked(engine)
    engine.make_hot_copies(never)
    off = replace(archives.settings, hot_cache=0)
    with archives.library() as library, Engine(off, library) as other:
        assert not any(part.hot for part in asked(other)[1])
        assert (other.n_hot_copies_wanted, other.make_hot_copies(never)) == (0, "")
        assert library.hot.copies() == []


def test_the_commands_show_it(archives: World, beyondrag: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEYONDRAG_LIBRARY", str(archives.settings.library))
    monkeypatch.setenv("BEYONDRAG_MODELS", str(archives.settings.models))
    common = (
        "--model", archives.settings.model, "--codec", "archive", "--threads", "1", "--context", "2048",
    )  # fmt: skip
    ask = ("ask", QUESTION, "--doc", "harbour", "--max-tokens", "16", "--no-check", *common)
    first, second = beyondrag(*ask), beyondrag(*ask)
    assert "making hot copies of 1 document" in first.err
    assert "1 document from hot copies" in second.err
    assert "making hot copies" not in second.err
    assert second.out == first.out
    stats = beyondrag("library", "stats", "--hot-cache", "2GB", *common)
    (line,) = (line for line in stats.out.splitlines() if "hot copies" in line)
    assert "1 copy" in line
    assert "of 2.00 GB, 1 of 2 reads found one" in line
    counted = beyondrag("library", "stats", "--json", *common).json["hot"]
    assert (counted["n_copies"], counted["bound_bytes"]) == (1, 1_000_000_000)
    shown = beyondrag("library", "show", "harbour", *common)
    (line,) = (line for line in shown.out.splitlines() if line.startswith("  hot copy"))
    assert "last read" in line
    (snapshot,) = beyondrag("library", "show", "harbour", "--json", *common).json["snapshots"]
    assert snapshot["hot_copy"]["size_bytes"] == counted["size_bytes"]
    assert beyondrag("ask", QUESTION, "--json", "--hot-cache", "0", "--doc", "harbour", *common).code in (
        0,
        3,
    )
    assert beyondrag("library", "show", "harbour", "--json", *common).json["snapshots"][0]["hot_copy"] is None
    assert beyondrag("library", "verify", "--deep").code == 0
