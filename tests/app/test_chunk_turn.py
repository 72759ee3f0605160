"""The chunk-RAG column: which chunks are found, and one question answered from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_world import TEXTS

from beyondrag.chunk_rag import candidates
from beyondrag.chunk_rag.candidates import ChunkFinder
from beyondrag.chunk_rag.chunks import library_chunks
from beyondrag.chunk_rag.search import Bm25Search, ranking
from beyondrag.engine import Engine
from beyondrag.events import Answer, Attached, ChunksRead, Done, Event, ReadingDocument
from beyondrag.turn import AskOptions
from ingest.indexing import index
from kvfiles.errors import Cancelled
from library.errors import DocumentNotFound
from library.records import DocumentText, PageSpan, SourceFile
from library.store import Library

QUESTION = "How old was the keeper at Skerry Point?"
BRIEF = AskOptions(max_tokens=16, check=False)


def one_each(_word: str) -> int:
    return 1


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Three documents of a few chunks of 512 words each."""
    with Library.create_or_open(tmp_path / "library") as opened:
        with opened.writing():
            for name in ("harbour", "bakery", "school"):
                lines = [f"The {name} has lamp number {n} of {n % 7} lamps." for n in range(150)]
                text = "\n".join(lines)
                opened.add(
                    hashlib.sha256(text.encode()).hexdigest(),
                    SourceFile(f"/docs/{name}.txt", len(text), 1),
                    f"{name} report",
                    "text/plain",
                    DocumentText(text, (PageSpan("1", 0, len(text)),)),
                )
        yield opened


def test_a_small_library_is_searched_whole(library: Library) -> None:
    chunks = library_chunks(library, one_each)
    texts = [f"{c.title}\n{library.text(c.document_id).text[c.start : c.end]}" for c in chunks]
    for question in ("Which lamp number 77 does the school have?", "the bakery", "harbour lamps 3"):
        scores = Bm25Search(texts).scores(question)
        best = [chunks[int(i)] for i in ranking(scores)]
        found = ChunkFinder(library, one_each).ranked(question, [])
        assert [chunk for chunk, _ in found] == best
        assert [score for _, score in found] == sorted(scores, reverse=True)


def test_pinned_documents_are_all_there_is(library: Library) -> None:
    bakery = library.find("bakery")
    found = ChunkFinder(library, one_each).ranked("harbour", [bakery, bakery])
    assert {chunk.document_id for chunk, _ in found} == {bakery.id}
    assert len(found) == len({chunk.start for chunk, _ in found}) > 1


def test_a_document_is_cut_once(library: Library) -> None:
    counted: list[str] = []

    def count(word: str) -> int:
        counted.append(word)
        return 1

    finder = ChunkFinder(library, count)
    first = finder.ranked("lamp", [])
    n_counted = len(counted)
    assert finder.ranked("lamp", []) == first
    assert len(counted) == n_counted == len(set(counted))


def test_no_more_text_than_is_searched_in_time(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    longest = max(document.n_chars for document in library.documents())
    for limit, n_searched in ((3 * longest, 3), (2 * longest, 2), (10, 1)):
        monkeypatch.setattr(candidates, "MAX_SEARCHED_CHARS", limit)
        found = ChunkFinder(library, one_each).ranked("school lamp", [])
        titles = {chunk.title for chunk, _ in found}
        assert len(titles) == n_searched
        assert "school report" in titles, "the best one is always searched"
    assert ChunkFinder(library, one_each).ranked("zeppelin", []) == []


def test_cutting_can_be_stopped(library: Library) -> None:
    with pytest.raises(Cancelled):
        ChunkFinder(library, one_each).ranked("lamp", [], lambda: True)


# --------------------------------------------------------------------------- the column


def events_of(engine: Engine, question: str = QUESTION, options: AskOptions = BRIEF) -> list[Event]:
    events = list(engine.ask_chunks(question, options))
    assert engine.context.end(0) == engine.context.end(1) == 0, "the context is empty again"
    return events


def answer_of(events: list[Event]) -> Answer:
    last = events[-1]
    assert isinstance(last, Done)
    return last.answer


def whole_answer(engine: Engine, options: AskOptions) -> Answer:
    return answer_of(list(engine.ask(QUESTION, options)))


@pytest.mark.model
def test_the_column_says_what_it_reads(engine: Engine) -> None:
    events = events_of(engine)
    read = events[0]
    assert isinstance(read, ChunksRead)
    assert {chunk.title for chunk in read.chunks} == {"Harbour report", "Bakery report"}
    for chunk in read.chunks:
        assert engine.library.text(chunk.document_id).text[chunk.start : chunk.end] == chunk.text
        assert chunk.path.endswith(".txt")
    assert [c.score for c in read.chunks] == sorted((c.score for c in read.chunks), reverse=True)
    (attached,) = (event for event in events if isinstance(event, Attached))
    stops = [len(engine.desk.prefix), *(part.stop for part in attached.parts)]
    assert [part.first for part in attached.parts] == stops[:-1]
    assert stops[-1] == attached.n_tokens == len(engine.desk.prefix) + read.n_tokens
    assert {(part.read_from, part.codec, part.bits) for part in attached.parts} == {("prefill", "f16", 16.0)}
    progress = [(e.done, e.total) for e in events if isinstance(e, ReadingDocument)]
    assert progress == [(0, read.n_tokens), (read.n_tokens, read.n_tokens)]
    answer = answer_of(events)
    assert answer.prefilled_tokens == read.n_tokens
    assert "48" in answer.answer
    (source,) = answer.sources
    assert engine.library.text(source.document_id).text[source.start : source.end] == source.quote
    assert 0 < answer.timings.retrieve_s < answer.timings.ttft_s < answer.timings.total_s


@pytest.mark.model
def test_a_document_of_one_chunk_is_read_as_the_document(engine: Engine) -> None:
    options = AskOptions(max_tokens=16, check=False, documents=("harbour",))
    chunk = answer_of(events_of(engine, options=options))
    exact = whole_answer(engine, AskOptions(max_tokens=16, check=False, documents=("harbour",), exact=True))
    assert (chunk.answer, chunk.sources, chunk.checked) == (exact.answer, exact.sources, exact.checked)
    assert chunk.log_odds == pytest.approx(exact.log_odds, abs=0.05)


@pytest.mark.model
def test_chunks_that_do_not_fit_are_told(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("Skerry Point\n\n" + "The keeper at Skerry Point was old. " * 120)
    with engine.library.writing():
        index(engine.library, [tmp_path / "long.txt"])
    both = AskOptions(max_tokens=300, check=False, documents=("harbour", "long"))
    events = events_of(engine, options=both)
    read = events[0]
    assert isinstance(read, ChunksRead)
    (reason,) = answer_of(events).left_out
    n_left = int(reason.split()[0])
    assert n_left > 0
    assert reason == f"{n_left} of the best {n_left + len(read.chunks)} chunks do not fit"
    nothing = answer_of(events_of(engine, options=AskOptions(max_tokens=1900)))
    assert (nothing.abstained, nothing.documents) == (True, ())
    assert len(nothing.left_out) == 1


@pytest.mark.model
def test_a_withheld_answer_shows_the_beginnings_of_the_chunks(engine: Engine) -> None:
    answer = answer_of(events_of(engine, "Who painted the moon red?", AskOptions(max_tokens=8)))
    assert answer.abstained
    assert {source.title for source in answer.nearest} <= {"Harbour report", "Bakery report"}
    for source in answer.nearest:
        text = engine.library.text(source.document_id).text
        assert text[source.start : source.end] == source.quote != ""


@pytest.mark.model
def test_a_stop_leaves_the_engine_usable(engine: Engine) -> None:
    with pytest.raises(Cancelled):
        list(engine.ask_chunks(QUESTION, BRIEF, lambda: True))
    assert engine.context.end(0) == 0
    with pytest.raises(DocumentNotFound):
        events_of(engine, options=AskOptions(documents=("nowhere",)))
    assert "48" in answer_of(events_of(engine)).answer
    assert len(TEXTS) == 2, "both documents are one chunk each"
