"""The bench of a large library, on a small one."""

from __future__ import annotations

import mailbox
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from eval.bench.library import __main__ as bench
from eval.bench.library.mailbox import write_mailbox
from eval.bench.library.synthetic import fill, questions, texts, write_files
from library.store import Library
from library.upkeep import Upkeep


def test_texts_are_seeded_and_different() -> None:
    first = list(texts(20, 50, 1))
    assert first == list(texts(20, 50, 1))
    assert first != list(texts(20, 50, 2))
    assert len({" ".join(text.words) for text in first}) == 20
    assert all(25 <= len(text.words) <= 75 for text in first)


def test_a_synthetic_library_is_sound_and_finds_what_it_is_asked(tmp_path: Path) -> None:
    fill(tmp_path / "library", 120, 80, 3, lambda _message: None)
    with Library.open(tmp_path / "library") as library:
        assert library.count() == 120
        assert len(library.snapshots()) == 64
        assert Upkeep(library).verify().sound
        asked = questions(20, 120, 80, 3)
        assert len(set(asked)) == 20
        assert all(library.search(question) for question in asked)


def test_files(tmp_path: Path) -> None:
    write_files(tmp_path, 120, 30, 1)
    assert len(list(tmp_path.rglob("*.txt"))) == 120
    assert len(list(tmp_path.iterdir())) == 2


def test_a_mailbox_is_what_the_standard_library_takes_for_one(tmp_path: Path) -> None:
    write_mailbox(tmp_path / "a.mbox", 30, 20, 1)
    with closing(mailbox.mbox(tmp_path / "a.mbox")) as box:
        messages = list(box)
    assert len(messages) == len({message["Subject"] for message in messages}) == 30
    assert all(message.get_payload().strip() for message in messages)


@pytest.mark.slow
def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "N_QUESTIONS", 10)
    monkeypatch.setattr(bench, "OPENINGS", 1)
    sizes = ["--documents", "300", "--files", "20", "--messages", "40"]
    assert bench.main([*sizes, "--folder", str(tmp_path)]) == 0
    *table, line = capsys.readouterr().out.splitlines()
    told = orjson.loads(line)
    assert told["library"]["n_documents"] == 300
    assert told["library"]["n_searches"] == 9
    assert 0 < told["library"]["search_p50_s"] <= told["library"]["search_p95_s"]
    assert told["library"]["opened_bytes"] <= told["library"]["verified_bytes"]
    assert told["files_per_s"] > 0
    assert told["ingest"]["again"]["wall_s"] > 0
    assert (told["mailbox"]["n_documents"], told["mailbox"]["n_failures"]) == (41, 0)
    assert told["messages_per_s"] > 0
    assert any("search, half take less" in row for row in table)
    assert any("mailbox of 40 messages" in row for row in table)
    assert list(tmp_path.iterdir()) == []
