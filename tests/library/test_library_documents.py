from __future__ import annotations

import os
from pathlib import Path

import pytest
from shelf import PROFILE, identity, pages_of, put, put_snapshot

from library.errors import DocumentNotFound, LibraryError
from library.records import DocumentText, FailureRecord, PageSpan, SourceFile, Volume
from library.store import Library


def test_a_document_comes_back_as_it_was_added(library: Library, root: Path) -> None:
    text = pages_of("First page, ünïcode.\fSecond page.")
    source = SourceFile("/docs/a.txt", 30, 123)
    added = library.add(identity("a"), source, "A title", "text/plain", text, ("page 3 is empty",))
    with Library.open(root) as other:
        assert other.document(added.id) == added
        assert other.text(added.id) == text
        assert other.source("/docs/a.txt") == (source, added.id)
        assert [d.id for d in other.documents()] == [added.id]
    assert (added.title, added.n_chars, added.n_pages) == ("A title", len(text.text), 2)
    assert added.warnings == ("page 3 is empty",)
    assert added.paths == ("/docs/a.txt",)
    assert not added.missing


def test_adding_twice_changes_nothing(library: Library) -> None:
    first = put(library, "/a.txt", "some words")
    snapshot = put_snapshot(library, first, b"state")
    assert put(library, "/a.txt", "some words") == first
    assert library.count() == 1
    assert library.snapshot(first.id, 0, PROFILE.id) == snapshot
    assert library.text(first.id).text == "some words"


def test_a_better_text_of_the_same_file_drops_what_was_made_of_the_old_one(library: Library) -> None:
    first = put(library, "/a.txt", "some words")
    snapshot = put_snapshot(library, first, b"state")
    library.put_volumes(first.id, PROFILE.id, [Volume(first.id, 0, 0, 10, 2, "")])
    library.add(first.id, SourceFile("/a.txt", 10, 1), "a", "text/plain", pages_of("better words"))
    assert library.text(first.id).text == "better words"
    assert library.volumes(first.id, PROFILE.id) == ()
    assert library.snapshots() == []
    assert not snapshot.path.exists()
    assert [hit.document.id for hit in library.search("better")] == [first.id]


def test_a_changed_file_replaces_its_old_document(library: Library) -> None:
    old = put(library, "/a.txt", "zebra")
    snapshot = put_snapshot(library, old, b"state of the old one")
    new = put(library, "/a.txt", "giraffe", mtime_ns=2)
    assert [d.id for d in library.documents()] == [new.id]
    assert not snapshot.path.exists()
    assert library.search("zebra") == []
    with pytest.raises(DocumentNotFound):
        library.text(old.id)


def test_the_old_document_stays_while_another_path_holds_it(library: Library) -> None:
    old = put(library, "/a.txt", "zebra")
    put(library, "/copy.txt", "zebra")
    put(library, "/a.txt", "giraffe")
    assert library.document(old.id).paths == ("/copy.txt",)


def test_copies_are_one_document_with_several_paths(library: Library) -> None:
    first = put(library, "/a.txt", "same")
    both = library.add_path(first.id, SourceFile("/b.txt", 4, 5))
    assert both.paths == ("/a.txt", "/b.txt")
    assert library.count() == 1
    with pytest.raises(DocumentNotFound):
        library.add_path(identity("unknown"), SourceFile("/c.txt", 1, 1))


def test_sources_are_listed_by_folder(library: Library) -> None:
    for path in ("/docs/a", "/docs/sub/b", "/docs-old/c", "/docs", "/e"):
        put(library, path, f"text of {path}")
    assert [s.path for s, _ in library.sources("/docs")] == ["/docs", "/docs/a", "/docs/sub/b"]
    assert [s.path for s, _ in library.sources("/docs/")] == ["/docs", "/docs/a", "/docs/sub/b"]
    assert len(list(library.sources("/"))) == len(list(library.sources(None))) == 5


def test_missing_files_are_kept_until_pruned(library: Library) -> None:
    gone = put(library, "/docs/gone.txt", "zebra")
    half = put(library, "/docs/half.txt", "giraffe")
    library.add_path(half.id, SourceFile("/other/half.txt", 7, 1))
    elsewhere = put(library, "/other/gone.txt", "okapi")
    for path in ("/docs/gone.txt", "/docs/half.txt", "/other/gone.txt"):
        library.mark_missing(path)
    assert library.document(gone.id).missing
    assert not library.document(half.id).missing
    assert [hit.document.id for hit in library.search("zebra")] == [gone.id]
    assert [d.id for d in library.prune_missing("/docs")] == [gone.id]
    assert {d.id for d in library.documents()} == {half.id, elsewhere.id}
    assert library.document(half.id).paths == ("/other/half.txt",)
    assert library.search("zebra") == []


def test_a_file_that_comes_back_is_not_missing(library: Library) -> None:
    document = put(library, "/a.txt", "text")
    library.mark_missing("/a.txt")
    library.touch(SourceFile("/a.txt", 4, 99))
    assert not library.document(document.id).missing
    assert library.source("/a.txt") == (SourceFile("/a.txt", 4, 99), document.id)


def test_remove_takes_everything_with_it(library: Library) -> None:
    document = put(library, "/a.txt", "zebra")
    snapshot = put_snapshot(library, document, b"state")
    library.remove(document.id)
    assert library.count() == 0
    assert library.source("/a.txt") is None
    assert not snapshot.path.exists()
    assert library.verify() == []
    with pytest.raises(DocumentNotFound):
        library.remove(document.id)


def test_failures_are_remembered_until_the_file_is_read(library: Library) -> None:
    failure = FailureRecord("/a.pdf", 10, 1, "encrypted", "needs a password", "unlock it", 5.0)
    library.record_failure(failure)
    library.record_failure(FailureRecord("/b.pdf", 10, 1, "empty", "no pages", "", 5.0))
    assert [f.path for f in library.failures()] == ["/a.pdf", "/b.pdf"]
    assert library.failures()[0] == failure
    put(library, "/a.pdf", "now it can be read")
    library.clear_failure("/b.pdf")
    assert library.failures() == []


def test_names_that_are_no_unicode_and_hostile_titles(library: Library) -> None:
    path = os.fsdecode(b"/docs/\xff[red]\x1b[31m\n.txt")
    document = put(library, path, "text", title="[red]\x1b[31mevil\u202e\nline\ud800")
    assert library.document(document.id).paths == (path,)
    assert library.source(path) is not None
    assert document.title == "[red] [31mevil line�"
    assert [s.path for s, _ in library.sources("/docs")] == [path]
    assert library.search("text")[0].document.name == document.name


def test_text_that_cannot_be_encoded_is_kept_at_its_place(library: Library) -> None:
    text = DocumentText("before \ud800 after \x00", (PageSpan("1", 0, 16),))
    document = library.add(identity("x"), SourceFile("/x", 1, 1), "x", "text/plain", text)
    assert library.text(document.id).text == "before � after \x00"


def test_relative_paths_and_wrong_ids_are_refused(library: Library) -> None:
    with pytest.raises(LibraryError, match="absolute"):
        put(library, "a.txt", "text")
    with pytest.raises(LibraryError, match="SHA-256"):
        library.add("../x", SourceFile("/a", 1, 1), "t", "text/plain", pages_of("text"))
    assert library.count() == 0


def test_an_exception_in_the_block_keeps_what_was_added(library: Library) -> None:
    def interrupted() -> None:
        with library.writing():
            put(library, "/a.txt", "zebra")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(library.search("zebra")) == 1


@pytest.fixture
def three(library: Library) -> Library:
    put(library, "/x/report-2023.txt", "one", title="Annual Report")
    put(library, "/y/report-2024.txt", "two", title="Annual Report")
    put(library, "/y/Minutes.md", "three", title="Board Minutes")
    return library


@pytest.mark.parametrize(
    "name",
    ["minutes.md", "MINUTES", "board minutes", "/y/Minutes.md", identity("three"), identity("three")[:8]],
)
def test_find_by_every_kind_of_name(three: Library, name: str) -> None:
    assert three.find(name).path == "/y/Minutes.md"


def test_find_by_a_relative_path(three: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(three, str(tmp_path / "notes.txt"), "four")
    put(three, "/other/notes.txt", "five")
    monkeypatch.chdir(tmp_path)
    assert three.text(three.find("./notes.txt").id).text == "four"


def test_find_says_which_when_several_fit(three: Library) -> None:
    with pytest.raises(DocumentNotFound) as caught:
        three.find("annual report")
    assert "2 documents" in caught.value.message
    assert identity("one")[:12] in caught.value.remedy
    assert identity("two")[:12] in caught.value.remedy


def test_find_offers_near_names(three: Library) -> None:
    with pytest.raises(DocumentNotFound) as caught:
        three.find("minuets.md")
    assert "Minutes.md" in caught.value.remedy


@pytest.mark.parametrize("name", ["", "   ", "\x1b[31m", "a" * 100_000, "%", "' OR 1=1 --", "\x00"])
def test_find_survives_any_name(three: Library, name: str) -> None:
    with pytest.raises(DocumentNotFound) as caught:
        three.find(name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
