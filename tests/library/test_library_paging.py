"""Large libraries are gone through in pages, and one document is found without reading all."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shelf import PROFILE, pages_of, put, put_snapshot

from beyondrag.document_state import document_states
from library import documents
from library.errors import DocumentNotFound
from library.indexqueue import IndexQueue
from library.records import SourceFile, Volume
from library.store import Library

N = 23


@pytest.fixture
def many(library: Library, monkeypatch: pytest.MonkeyPatch) -> Library:
    """More documents than a page, with gaps in their keys."""
    monkeypatch.setattr(documents, "PAGE", 5)
    with library.writing():
        records = [put(library, f"/{n:02}.txt", f"zebra {n}") for n in range(N + 2)]
        for gone in (records[4], records[13]):
            library.remove(gone.id)
    return library


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(limit=st.integers(0, 40), offset=st.integers(0, 40))
def test_pages_are_slices_of_the_whole(many: Library, limit: int, offset: int) -> None:
    whole = list(many.documents())
    assert len({document.id for document in whole}) == N
    assert many.page(limit, offset) == whole[offset : offset + limit]


def test_going_through_all_reads_in_pages(many: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    records = documents.Documents._records

    def counted(self: documents.Documents, *arguments: object) -> list[object]:
        found = records(self, *arguments)
        read.append(len(found))
        return found

    monkeypatch.setattr(documents.Documents, "_records", counted)
    everything = many.documents()
    next(everything)
    assert read == [5]
    assert len(list(everything)) == N - 1
    assert max(read) == 5


def test_documents_that_go_while_they_are_gone_through(many: Library) -> None:
    everything = many.documents()
    seen = [next(everything).path for _ in range(3)]
    for document in many.page(N, 3):
        many.remove(document.id)
    # The page that was read is given out; after it there is nothing left, and no error.
    assert [document.path for document in everything] == [f"/0{n}.txt" for n in (3, 5)]
    assert seen == ["/00.txt", "/01.txt", "/02.txt"]


def test_the_index_is_compared_in_ranges_without_gaps(many: Library) -> None:
    assert list(many.parts.indexing.differences()) == []
    with many.parts.catalogue.transaction() as connection:
        for key in (1, 12, 25):  # the first one, one in the middle, the last one
            connection.execute("DELETE FROM documents WHERE key = ?", (key,))
    found = list(many.parts.indexing.differences())
    assert sum(difference.n_extra for difference in found if difference.index == "documents") == 3
    assert sum(difference.n_extra for difference in found if difference.index == "passages") == 3


def test_a_document_is_found_by_id_and_path_without_reading_all(
    many: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = many.page(1, 7)[0]

    def never(_self: object) -> object:
        raise AssertionError("all documents were read")

    with monkeypatch.context() as patched:
        patched.setattr(documents.Documents, "all", never)
        assert many.find(wanted.id) == many.find(wanted.path) == many.find(f" {wanted.id.upper()} ") == wanted
    assert many.find(wanted.name) == wanted
    for name in ("", "nowhere", "\ud800", "~nobody/x", "a\0b"):
        with pytest.raises(DocumentNotFound):
            many.find(name)


def test_a_name_of_many_documents(library: Library) -> None:
    with library.writing():
        for number in range(12):
            put(library, f"/{number}/same.txt", f"text {number}")
    with pytest.raises(DocumentNotFound, match="12 documents have this name") as caught:
        library.find("same.txt")
    assert caught.value.remedy.count("(/") == 5
    assert caught.value.remedy.endswith("and 7 more")


def test_states_in_pages(many: Library) -> None:
    for document in many.page(3, 2):
        put_snapshot(many, document, document.id.encode())
        many.put_volumes(document.id, PROFILE.id, [Volume(document.id, 0, 0, 4, 4, "")])
    whole = document_states(many, PROFILE.id)
    assert [state.state for state in whole[:6]] == ["indexed"] * 2 + ["ready"] * 3 + ["indexed"]
    assert document_states(many, PROFILE.id, limit=4, offset=1) == whole[1:5]
    assert document_states(many, PROFILE.id, limit=100, offset=20) == whole[20:]
    assert document_states(many, PROFILE.id, offset=N) == []
    assert document_states(many, None)[2].state == "stale"


def test_the_queue(library: Library) -> None:
    queue = IndexQueue(library._catalogue)
    assert not queue.any()
    with library.parts.lock.hold():
        library._documents.add(
            "a" * 64, SourceFile("/a", 1, 1), pages_of("x"), title="", media_type="text/plain", warnings=()
        )
        assert queue.any()
        assert (queue.count(), queue.waiting(-1), queue.known(0, 9)) == (1, [(1, "a" * 64)], ({1}, {1}))
        library._documents.remove("a" * 64)
        assert queue.waiting(5) == [(1, None)]
        queue.done([1])
        assert not queue.any()
