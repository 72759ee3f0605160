from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from guards import step_limit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shelf import identity, pages_of, put

from library.errors import LibraryLocked
from library.index import IndexView
from library.question import TERMS_MAX, Question, phrase_query, read_question
from library.records import SourceFile
from library.store import Library

FILLER = "The report describes the flight, the weather and the aircraft in general terms. " * 12


@pytest.fixture
def reports(library: Library) -> Library:
    """Twenty reports that differ in a place and a number, as forms do."""
    places = ["Belen, NM", "Houston, TX", "White Plains, AL", "Plains, TX", "Alton, NH"]
    places += [f"Town{i}, ZZ" for i in range(15)]
    with library.writing():
        for number, place in enumerate(places):
            text = f"Page one. Location: {place}.\n{FILLER}\fThe pilot was {30 + number} years old. {FILLER}"
            put(library, f"/reports/{number}.txt", text, title="Accident report")
    return library


def titles(library: Library, question: str, limit: int = 3) -> list[str]:
    return [hit.document.path for hit in library.search(question, limit)]


def test_the_named_place_decides(reports: Library) -> None:
    assert titles(reports, "How old was the pilot in the accident at Belen, NM?")[0] == "/reports/0.txt"
    assert titles(reports, "the accident at white plains, al")[0] == "/reports/2.txt"
    assert titles(reports, "the accident at Plains, TX")[0] == "/reports/3.txt"


@pytest.mark.parametrize("pair", [(0, 1), (1, 4), (2, 3), (0, 4)])
def test_both_named_documents_come_first(reports: Library, pair: tuple[int, int]) -> None:
    places = ["Belen, NM", "Houston, TX", "White Plains, AL", "Plains, TX", "Alton, NH"]
    question = f"Who was older: the pilot at {places[pair[0]]} or the pilot at {places[pair[1]]}?"
    assert set(titles(reports, question)[:2]) == {f"/reports/{number}.txt" for number in pair}


def test_coverage_beats_lookalikes(library: Library) -> None:
    with library.writing():
        for number in range(6):
            put(library, f"/a{number}", f"quokka quokka quokka breeding season report {number} " * 5)
        put(library, "/b", "A note on the numbat. " + FILLER)
    assert "/b" in titles(library, "quokka breeding season and numbat", 2)


def test_passages_are_exact_parts_of_the_text(reports: Library) -> None:
    for hit in reports.search("How old was the pilot at Houston, TX?", 5, passages=3):
        text = reports.text(hit.document.id)
        assert 1 <= len(hit.passages) <= 3
        for passage in hit.passages:
            assert passage.text == text.text[passage.start : passage.end]
            assert passage.page == text.page_at(passage.start).label
        scores = [passage.score for passage in hit.passages]
        assert scores == sorted(scores, reverse=True)
        spans = sorted((passage.start, passage.end) for passage in hit.passages)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    best = reports.search("Houston, TX")[0]
    assert "Houston, TX" in best.passages[0].text
    assert best.passages[0].page == "1"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_word_of_one_document_finds_it(reports: Library, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 14))
    hits = titles(reports, f"what about town{number}")
    assert hits[0] == f"/reports/{number + 5}.txt"


@pytest.mark.parametrize(
    "question",
    [
        "belen AND houston OR (",
        "title:belen",
        "-belen +",
        "[a TO b]",
        '"unclosed belen',
        "belen~2 bel* /bel.*/ ^5",
        "\x00\x1b[31m belen",
        "belen \ud800",
        "key:1 belen",
    ],
)
def test_a_question_is_never_query_syntax(reports: Library, question: str) -> None:
    hits = titles(reports, question, 20)
    if "belen" in question.lower():
        assert "/reports/0.txt" in hits[:2]


@pytest.mark.parametrize("question", ["", "   ", "?!", "\n\t", "xyzzyqwerty"])
def test_a_question_without_known_words_finds_nothing(reports: Library, question: str) -> None:
    assert reports.search(question) == []


def test_an_empty_library_finds_nothing(library: Library) -> None:
    assert library.search("anything") == []


@pytest.mark.parametrize("limit", [-1, 0, 1, 7, 10**9])
def test_limits_are_kept(reports: Library, limit: int) -> None:
    assert len(reports.search("the pilot", limit)) == min(max(limit, 0), 20)


@pytest.mark.parametrize(
    "question",
    [
        "belen " * 20_000,
        "b" * 100_000 + " belen",
        " ".join(f"word{i}" for i in range(15_000)),
        "Belen, NM " + " ".join(f"w{i} pilot" for i in range(12_000)),
        "the pilot was in the accident at the " * 3_000,
    ],
)
def test_a_very_long_question_stays_cheap(
    reports: Library, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs what its beginning costs, and what the index is asked for is bounded."""
    asked: list[Question] = []

    def remembered(text: str, passages: IndexView) -> Question:
        asked.append(read_question(text, passages))
        return asked[-1]

    monkeypatch.setattr("library.search.read_question", remembered)
    with step_limit(10_000_000) as beginning:
        reports.search(question[:20_000])
    with step_limit(beginning.n * 3 // 2):
        reports.search(question)
    assert len(asked[-1].terms) <= TERMS_MAX
    assert len(asked[-1].phrases) <= 256


def test_rare_words_of_a_long_question_still_count(reports: Library) -> None:
    question = "the report describes the flight and the weather in general terms " * 100 + "houston"
    assert titles(reports, question)[0] == "/reports/1.txt"


def test_words_match_without_accents_case_and_inflection(library: Library) -> None:
    put(library, "/a", "Zürich's Bankers were running.")
    for question in ("zurich", "ZÜRICH", "banker", "runs"):
        assert titles(library, question) == ["/a"]


def test_very_long_words_are_found(library: Library) -> None:
    part = "deadbeef" * 20
    put(library, "/a", f"part number {part} is broken")
    assert titles(library, part) == ["/a"]


def test_the_file_name_finds_a_document(library: Library) -> None:
    put(library, "/x/travel-expenses-2024.txt", "Nothing else here.", title="Untitled")
    assert titles(library, "travel expenses 2024") == ["/x/travel-expenses-2024.txt"]


def test_another_process_sees_what_was_committed(library: Library, root: Path) -> None:
    put(library, "/a", "zebra")
    with Library.open(root) as other:
        assert titles(other, "zebra") == ["/a"]
        put(library, "/b", "okapi zebra")
        assert set(titles(other, "zebra")) == {"/a", "/b"}
        library.remove(identity("zebra"))
        assert titles(other, "zebra") == ["/b"]


def test_commit_makes_visible_in_the_middle(library: Library, root: Path) -> None:
    with Library.open(root) as other, library.writing():
        put(library, "/a", "zebra")
        library.commit_index()
        assert titles(other, "zebra") == ["/a"]


def test_what_a_crash_left_unindexed_is_indexed_by_the_next_search(library: Library, root: Path) -> None:
    put(library, "/a", "zebra")
    gone = put(library, "/gone", "zebra okapi")
    # A crash after the catalogue's transaction and before the index commit: only the rows exist.
    library._documents.add(
        identity("new"), SourceFile("/new", 1, 1), pages_of("zebra"), title="t", media_type="m", warnings=()
    )
    library._documents.remove(gone.id)
    assert any("not in the search index yet" in finding for finding in library.verify())
    with Library.open(root) as other:
        assert set(titles(other, "zebra")) == {"/a", "/new"}
    assert library.verify() == []


def test_while_another_one_writes_a_search_works_with_what_is_there(library: Library, root: Path) -> None:
    put(library, "/a", "zebra")
    with Library.open(root) as other, other.writing():
        put(other, "/b", "another zebra")
        assert titles(library, "zebra") == ["/a"]
    assert set(titles(library, "zebra")) == {"/a", "/b"}


def harm_missing(index: Path) -> None:
    for path in sorted(index.rglob("*"), reverse=True):
        if path.is_file():
            path.unlink()


def harm_meta(index: Path) -> None:
    for path in index.rglob("meta.json"):
        path.write_text("{")


def harm_truncate(index: Path) -> None:
    for path in index.rglob("*.term"):
        path.write_bytes(path.read_bytes()[:3])


@pytest.mark.parametrize("harm", [harm_missing, harm_meta, harm_truncate])
def test_a_damaged_index_is_rebuilt(reports: Library, root: Path, harm: object) -> None:
    reports.close()
    assert callable(harm)
    harm(root / "index")
    with Library.open(root) as again:
        assert any("search index is damaged" in finding for finding in again.verify())
        assert titles(again, "Belen, NM")[0] == "/reports/0.txt"
        assert again.verify() == []
        assert len(list((root / "index").iterdir())) == 1


def test_a_damaged_index_cannot_be_rebuilt_while_another_one_writes(reports: Library, root: Path) -> None:
    reports.close()
    with Library.open(root) as first, Library.open(root) as second:
        harm_meta(root / "index")
        with first.writing():
            with pytest.raises(LibraryLocked):
                second.search("belen")
            harm_meta(root / "index")
        assert titles(second, "belen")[0] == "/reports/0.txt"


def test_an_index_of_another_format_is_rebuilt(reports: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("library.indexing.FORMAT", 99)
    assert titles(reports, "belen")[0] == "/reports/0.txt"
    assert [path.name for path in (reports.root / "index").iterdir()] == ["f99-2"]


def test_rebuild_gives_the_same_answers(reports: Library) -> None:
    before = reports.search("Who was older, the pilot at Alton, NH or Houston, TX?", 10)
    reports.rebuild_index()
    after = reports.search("Who was older, the pilot at Alton, NH or Houston, TX?", 10)
    assert [hit.document for hit in after] == [hit.document for hit in before]
    assert [hit.score for hit in after] == pytest.approx([hit.score for hit in before])


def test_removed_documents_leave_both_indices(reports: Library) -> None:
    with reports.writing():
        for document in list(reports.documents())[:10]:
            reports.remove(document.id)
    assert reports.verify() == []
    assert len(reports.search("the pilot", 50)) == 10


def test_nothing_is_found_while_someone_else_builds_the_first_index(root: Path) -> None:
    with Library.create_or_open(root) as writer, Library.open(root) as reader:
        with writer.writing():
            put(writer, "/a", "zebra")
            assert reader.search("zebra") == []
        assert len(reader.search("zebra")) == 1


def test_a_phrase_is_found_wherever_it_stands(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large libraries are looked through in two steps; the answer is the same."""
    with library.writing():
        for number in range(12):
            put(library, f"/{number}", f"alpha beta gamma{number}" if number != 9 else "gamma beta alpha")
    view = library._indexing.current().passages
    asked = {
        words: view.holds(phrase_query(view, words))
        for words in itertools.permutations(("alpha", "beta", "gamma"), 2)
    }
    monkeypatch.setattr("library.index._MANY_ENTRIES", 5)
    monkeypatch.setattr("library.index._FIRST_KEYS", 3)
    assert {words: view.holds(phrase_query(view, words)) for words in asked} == asked
    assert asked["alpha", "beta"]
    assert asked["gamma", "beta"]
    assert not asked["alpha", "gamma"]
