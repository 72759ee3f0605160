"""Kept conversations: found again, never in the way of anybody, there when their documents are gone."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from guards import PATIENCE_S
from shelf import identity, put

from library import schema
from library.conversations import (
    MAX_QUESTION_CHARS,
    MAX_RECORD_CHARS,
    ConversationNotFound,
    Conversations,
    new_id,
)
from library.errors import LibraryError
from library.store import CATALOGUE_NAME, Library

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def kept(library: Library) -> Conversations:
    return library.conversations


def add(kept: Conversations, conversation: str, question: str, answer: str = "", at: float = 1.0) -> str:
    return kept.add_turn(conversation, question, at, f'{{"answer":"{answer}"}}', answer)


def ids(kept: Conversations, contains: str = "", limit: int = 200) -> list[str]:
    return [row.id for row in kept.all(contains, limit)]


def test_turns_come_back_in_order(kept: Conversations) -> None:
    first = new_id()
    turn_ids = [add(kept, first, f"Question {n}?", f"answer {n}", at=100.0 + n) for n in range(12)]
    turns = kept.turns(first)
    assert [turn.id for turn in turns] == turn_ids
    assert [turn.question for turn in turns] == [f"Question {n}?" for n in range(12)]
    assert turns[3].record == '{"answer":"answer 3"}'
    assert turns[3].asked_at == 103.0
    row = kept.one(first)
    assert (row.title, row.started_at, row.n_turns) == ("Question 0?", 100.0, 12)
    assert row.last_at > 1e9, "when it was written"


def test_the_latest_comes_first(kept: Conversations) -> None:
    for name in "abc":
        add(kept, name, f"About {name}?")
    assert ids(kept) == ["c", "b", "a"]
    add(kept, "a", "And again?")
    assert ids(kept) == ["a", "c", "b"]
    assert ids(kept, limit=2) == ["a", "c"]
    assert ids(kept, limit=-1) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("keeper", ["a"]),
        ("KEEPER", ["a"]),
        ("  1921 ", ["b"]),
        ("straße", ["b"]),
        ("STRASSE", ["b"]),
        ("a%r", []),
        ("a_r", []),
        ("'; DROP TABLE turns; --", []),
        ("\0", ["b", "a"]),
        ("\ud800", []),
        ("", ["b", "a"]),
    ],
)
def test_searching_questions_and_answers(kept: Conversations, wanted: str, expected: list[str]) -> None:
    add(kept, "a", "How old was the Keeper?", "48 or so")
    add(kept, "b", "When?", "In 1921, in the Mühlen-Straße")
    add(kept, "b", "Why?")
    assert ids(kept, wanted) == expected


def test_deleting_takes_the_turns_along(kept: Conversations, library: Library) -> None:
    add(kept, "a", "One?")
    add(kept, "b", "Two?")
    kept.remove("a")
    assert ids(kept) == ["b"]
    assert kept.turns("a") == []
    assert library._catalogue.read("SELECT count(*) FROM turns") == [(1,)]
    for act in (kept.one, kept.remove):
        with pytest.raises(ConversationNotFound) as caught:
            act("a")
        assert caught.value.exit_code == 6


def test_hostile_questions_are_kept_as_text(kept: Conversations) -> None:
    question = "\x1b[31mred\u202e \udcff '); DROP TABLE turns; --"
    add(kept, "a", question)
    assert kept.turns("a")[0].question == question.replace("\udcff", "\ufffd")
    title = kept.one("a").title
    assert "\x1b" not in title
    assert "\u202e" not in title
    kept.add_turn("a", "?", 1.0, "\udcff", "\udcff\0")
    assert kept.turns("a")[1].record == "\ufffd"


@pytest.mark.parametrize(
    ("conversation", "question", "record"),
    [
        ("", "?", "{}"),
        ("x" * 33, "?", "{}"),
        ("\u00e9", "?", "{}"),
        ("a", "x" * (MAX_QUESTION_CHARS + 1), "{}"),
        ("a", "?", "x" * (MAX_RECORD_CHARS + 1)),
    ],
)
def test_what_is_too_long_is_refused(
    kept: Conversations, conversation: str, question: str, record: str
) -> None:
    with pytest.raises(LibraryError):
        kept.add_turn(conversation, question, 1.0, record, "")
    assert kept.all() == []


def test_a_clock_that_went_back_changes_no_order(
    kept: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(kept, "a", "One?")
    before = kept.one("a").last_at
    monkeypatch.setattr("library.conversations.time.time", lambda: 5.0)
    add(kept, "a", "Two?")
    assert kept.one("a").last_at == before
    assert [turn.question for turn in kept.turns("a")] == ["One?", "Two?"]


def test_a_conversation_outlives_its_documents(library: Library) -> None:
    document = put(library, "/docs/a.txt", "zebra")
    library.conversations.add_turn("a", "Zebra?", 1.0, document.id, "zebra")
    library.remove(document.id)
    assert library.conversations.turns("a")[0].record == document.id
    assert library.verify() == []


def test_an_ingest_is_in_nobody_s_way(library: Library, root: Path) -> None:
    with Library.open(root) as other, library.writing():
        put(library, "/docs/a.txt", "zebra")
        with pytest.raises(LibraryError, match="writing"):
            put(other, "/docs/b.txt", "okapi")
        add(other.conversations, "a", "Asked while documents are added?")
        add(library.conversations, "a", "And in the process that adds them?")
    assert [turn.question[:5] for turn in library.conversations.turns("a")] == ["Asked", "And i"]


def write_turns(root: str, name: str, n: int) -> None:
    with Library.open(Path(root)) as library:
        for number in range(n):
            add(library.conversations, "shared", f"{name} {number}")


@pytest.mark.slow
def test_two_processes_write_turns_at_once(library: Library, root: Path) -> None:
    n = 40
    writers = [SPAWN.Process(target=write_turns, args=(str(root), name, n)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(PATIENCE_S)
        assert writer.exitcode == 0
    questions = [turn.question for turn in library.conversations.turns("shared")]
    assert len(questions) == 2 * n
    for name in "ab":
        assert [q for q in questions if q.startswith(name)] == [f"{name} {number}" for number in range(n)]


def test_a_library_without_conversations_gets_them(tmp_path: Path) -> None:
    """Schema 4, as the first release wrote it, with a document in it."""
    text = "The keeper was 48 years old."
    connection = sqlite3.connect(tmp_path / CATALOGUE_NAME)
    for migration in schema.MIGRATIONS[:4]:
        migration(connection)
    connection.execute(
        "INSERT INTO documents VALUES (1, ?, 'Harbour', 'text/plain', ?, 1, 1.0, '[]')",
        (identity(text), len(text)),
    )
    connection.execute("PRAGMA user_version = 4")
    connection.commit()
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert "turns" not in tables
    with Library.open(tmp_path) as library:
        assert library.document(identity(text)).title == "Harbour"
        add(library.conversations, "a", "How old?")
    with Library.open(tmp_path) as again:
        assert ids(again.conversations) == ["a"]
        assert again._catalogue.read("PRAGMA user_version") == [(schema.VERSION,)]
