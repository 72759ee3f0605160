"""Answers that are kept, shown again, and exported."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beyondrag.errors import UsageError
from beyondrag.events import Answer, ChosenDocument, Source, Timings
from beyondrag.follow_up import EarlierTurn
from beyondrag.service import export
from beyondrag.service.export import conversation_markdown, write_new
from beyondrag.service.history import MAX_PARTIAL_CHARS, History
from beyondrag.service.notices import ReadPart, WhatWasRead
from beyondrag.service.plain_json import from_json, to_json
from kvfiles.errors import StorageError
from library.conversations import MAX_RECORD_CHARS, ConversationNotFound
from library.errors import LibraryDamaged, LibraryNewer
from library.records import DocumentText, PageSpan, Passage, SourceFile
from library.store import Library

ID = "ab" * 32
PASSAGE = Passage(3, 9, "2", "keeper", 0.75)
DOCUMENT = ChosenDocument(ID, "/docs/harbour.txt", "Harbour", 0, "", 40, 1.5, "snapshot", (PASSAGE,))
SOURCE = Source(ID, "/docs/harbour.txt", "Harbour", "2", "The keeper was 48.", 0, 18)
ANSWER = Answer(
    question="How old was the keeper?",
    answer="48",
    abstained=False,
    checked=True,
    documents=(DOCUMENT,),
    sources=(SOURCE,),
    nearest=(),
    left_out=("bakery.txt: it has no text",),
    timings=Timings(0.1, 0.2, 0.3, 0.4, 0.5, 11.5),
    prefilled_tokens=0,
    log_odds=4.25,
)
READ = WhatWasRead(69, (ReadPart(ID, "Harbour", "", 69, 116, "snapshot", "k4v4", 4.13),), (), 2048)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.create_or_open(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def history(library: Library) -> History:
    return History(library)


def rewrite(library: Library, record: str) -> None:
    """Put another record into the only turn."""
    with library._catalogue.transaction() as connection:
        connection.execute("UPDATE turns SET record = ?", (record,))


# ------------------------------------------------------------------------------ keeping


def test_an_answer_comes_back_as_it_was(history: History) -> None:
    conversation_id = history.new_id()
    turn_id = history.keep(conversation_id, ANSWER.question, 50.0, ANSWER, "", READ)
    stopped = history.keep(conversation_id, "And then?", 60.0, None, "He was")
    conversation = history.conversation(conversation_id)
    first, second = conversation.turns
    assert (first.id, first.question, first.asked_at) == (turn_id, ANSWER.question, 50.0)
    assert first.answer == ANSWER
    assert first.read == READ
    assert (second.id, second.answer, second.partial, second.read) == (stopped, None, "He was", None)
    assert conversation.summary.n_turns == 2
    assert [s.id for s in history.summaries("48")] == [conversation_id], "answers are searched"
    assert [s.id for s in history.summaries("he WAS")] == [conversation_id], "and what was written"
    assert history.summaries("zebra") == []


def test_a_dialogue_can_go_on_from_it(history: History) -> None:
    history.keep("a", ANSWER.question, 1.0, ANSWER)
    history.keep("a", "Stopped?", 2.0, None, "He")
    assert history.earlier("a") == [EarlierTurn(ANSWER.question, "48"), EarlierTurn("Stopped?", "")]
    assert history.earlier("nowhere") == []


def test_documents_that_are_gone_are_told(history: History, library: Library) -> None:
    text = DocumentText("The keeper was 48.", (PageSpan("2", 0, 18),))
    library.add(ID, SourceFile("/docs/harbour.txt", 18, 1), "Harbour", "text/plain", text)
    history.keep("a", "How old?", 1.0, ANSWER)
    assert history.conversation("a").turns[0].gone == frozenset()
    library.remove(ID)
    (turn,) = history.conversation("a").turns
    assert turn.gone == {ID}
    assert turn.answer == ANSWER
    assert "no longer in the library" in conversation_markdown(history.conversation("a"), 1.0)


def test_deleting(history: History) -> None:
    history.keep("a", "How old?", 1.0, ANSWER)
    history.delete("a")
    assert history.summaries() == []
    with pytest.raises(ConversationNotFound):
        history.conversation("a")


def test_undecodable_file_names_come_back(history: History) -> None:
    odd = replace(SOURCE, path="/docs/\udcff.txt", quote="a\x00\u2028b")
    history.keep("a", "?", 1.0, replace(ANSWER, sources=(odd,)))
    (turn,) = history.conversation("a").turns
    assert turn.answer is not None
    assert turn.answer.sources == (odd,)


def test_numbers_that_json_cannot_hold(history: History) -> None:
    history.keep("a", "?", 1.0, replace(ANSWER, log_odds=-math.inf))
    (turn,) = history.conversation("a").turns
    assert turn.answer == replace(ANSWER, log_odds=None)


def test_a_huge_answer_is_kept_without_what_is_least_needed(history: History) -> None:
    long = Passage(0, 10, "1", "x" * (MAX_RECORD_CHARS // 2), 1.0)
    huge = replace(ANSWER, documents=(replace(DOCUMENT, passages=(long, long)),))
    history.keep("a", "?", 1.0, huge, "y" * (2 * MAX_PARTIAL_CHARS))
    nearest = replace(SOURCE, quote="z" * MAX_RECORD_CHARS)
    history.keep("a", "?", 1.0, replace(huge, nearest=(nearest,)))
    first, second = history.conversation("a").turns
    bare = replace(ANSWER, documents=(replace(DOCUMENT, passages=()),))
    assert first.answer == bare
    assert len(first.partial) == MAX_PARTIAL_CHARS
    assert second.answer == replace(bare, left_out=())


@pytest.mark.parametrize(
    "record",
    [
        "",
        "[]",
        "{}",
        "null",
        "[" * 100_000,
        '{"version":1}',
        '{"version":"1","answer":null,"partial":"","read":null}',
        '{"version":1,"answer":{},"partial":"","read":null}',
        '{"version":1,"answer":null,"partial":3,"read":null}',
        '{"version":1,"answer":null,"partial":"","read":[]}',
    ],
)
def test_a_record_that_makes_no_sense(history: History, library: Library, record: str) -> None:
    history.keep("a", "?", 1.0, ANSWER)
    rewrite(library, record)
    for act in (history.conversation, history.earlier):
        with pytest.raises(LibraryDamaged) as caught:
            act("a")
        assert "delete" in caught.value.remedy
    assert len(history.summaries()) == 1, "the list still works, so that it can be deleted"


def test_a_record_of_a_newer_program(history: History, library: Library) -> None:
    history.keep("a", "?", 1.0, ANSWER)
    rewrite(library, '{"version":2,"anything":1}')
    with pytest.raises(LibraryNewer, match="newer"):
        history.conversation("a")


# --------------------------------------------------------------------------------- JSON

finite = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(max_size=8)
sources = st.builds(Source, words, words, words, words, words, st.integers(), st.integers())
chosen = st.builds(
    ChosenDocument,
    words,
    words,
    words,
    st.integers(),
    words,
    st.integers(),
    finite,
    words,
    st.lists(st.builds(Passage, st.integers(), st.integers(), words, words, finite), max_size=2).map(tuple),
)
answers = st.builds(
    Answer,
    words,
    words,
    st.booleans(),
    st.booleans(),
    st.lists(chosen, max_size=2).map(tuple),
    st.lists(sources, max_size=2).map(tuple),
    st.lists(sources, max_size=2).map(tuple),
    st.lists(words, max_size=3).map(tuple),
    st.builds(Timings, finite, finite, finite, finite, finite, finite),
    st.integers(),
    st.none() | finite,
)


@settings(deadline=None)
@given(answers)
def test_any_answer_survives_json(answer: Answer) -> None:
    text = to_json(answer)
    assert text.isascii()
    assert from_json(Answer, text) == answer


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('"abstained":false', '"abstained":0'),
        ('"prefilled_tokens":0', '"prefilled_tokens":true'),
        ('"prefilled_tokens":0', '"prefilled_tokens":1.5'),
        ('"log_odds":4.25', '"log_odds":1e999'),
        ('"log_odds":4.25', '"log_odds":"4"'),
        ('"answer":"48"', '"answer":null'),
        ('"sources":[{', '"sources":[0,{'),
        ('"timings":{', '"timings":{"open_s":1' + "0" * 400 + '},"x":{'),
    ],
)
def test_values_of_another_kind_are_refused(good: str, bad: str) -> None:
    text = to_json(ANSWER)
    assert good in text
    with pytest.raises(ValueError, match="Answer"):
        from_json(Answer, text.replace(good, bad))


def test_unknown_names_are_refused_and_unknown_keys_passed_over() -> None:
    text = to_json(READ)
    assert from_json(WhatWasRead, text.replace('{"prefix', '{"later":[1],"prefix', 1)) == READ
    with pytest.raises(ValueError, match="read_from"):
        from_json(WhatWasRead, text.replace('"snapshot"', '"guess"'))


# ------------------------------------------------------------------------------- export


def test_the_exported_file(history: History, tmp_path: Path) -> None:
    history.keep("a", ANSWER.question, 1.0, ANSWER, "", READ)
    withheld = replace(ANSWER, answer="", abstained=True, checked=False, sources=(), nearest=(SOURCE,))
    history.keep("a", "Who <painted> it?", 2.0, withheld)
    history.keep("a", "And?", 3.0, None, "He *was*")
    path = tmp_path / "talk.md"
    history.export("a", path)
    text = path.read_text()
    for line in (
        "# How old was the keeper?",
        "## 1. How old was the keeper?",
        "48",
        "1. Harbour, page 2 (`harbour.txt`), *no longer in the library*",
        "   > The keeper was 48.",
        "- Harbour: tokens 69 to 115 (snapshot, k4v4, 4.13 bits a value)",
        "- not read: bakery\\.txt: it has no text",
        "## 2. Who &lt;painted&gt; it?",
        "*The documents do not answer this.*",
        "**Nearest passages**",
        "*Stopped before it was finished.*",
        "He \\*was\\*",
    ):
        assert line in text.splitlines(), line
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["talk.md"]


def test_nothing_is_ever_overwritten(history: History, tmp_path: Path) -> None:
    history.keep("a", "?", 1.0, ANSWER)
    path = tmp_path / "talk.md"
    path.write_text("mine")
    link = tmp_path / "link.md"
    link.symlink_to(tmp_path / "nowhere")
    for taken in (path, link, tmp_path):
        with pytest.raises(UsageError, match="already"):
            history.export("a", taken)
    assert path.read_text() == "mine"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["library", "link.md", "talk.md"]


def test_a_folder_that_is_not_there(history: History, tmp_path: Path) -> None:
    history.keep("a", "?", 1.0, ANSWER)
    with pytest.raises(StorageError):
        history.export("a", tmp_path / "nowhere" / "talk.md")


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(export.Path, "hardlink_to", refuse)
    path = tmp_path / "talk.md"
    write_new(path, b"text")
    assert path.read_bytes() == b"text"
    with pytest.raises(UsageError):
        write_new(path, b"other")
    monkeypatch.setattr(export.Path, "replace", refuse)
    with pytest.raises(StorageError):
        write_new(tmp_path / "b.md", b"text")
    assert [file.name for file in tmp_path.iterdir()] == ["talk.md"]
