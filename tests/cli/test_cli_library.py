"""`beyondrag library` on small libraries."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from beyondrag import reading
from library.records import DocumentRecord, DocumentText, PageSpan, ReadingProfile, SourceFile, Volume
from library.store import Library
from library.wording import without_lone_surrogates

NOW = ReadingProfile("a" * 32, "this model", "0" * 64, {})
BEFORE = ReadingProfile("b" * 32, "another model", "1" * 64, {})


@pytest.fixture(autouse=True)
def current_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "current_profile", lambda _library, _settings: NOW.id)


def put(library: Library, path: str, title: str = "") -> DocumentRecord:
    text = f"Text of {without_lone_surrogates(path)}."
    name = hashlib.sha256(text.encode()).hexdigest()
    pages = DocumentText(text, (PageSpan("1", 0, len(text)),))
    return library.add(name, SourceFile(path, 1, 1), title or Path(path).stem, "text/plain", pages)


def read(
    library: Library, document: DocumentRecord, profile: ReadingProfile, *ordinals: int, of: int = 1
) -> None:
    """Cut into `of` volumes of 10 tokens and keep snapshots of 500 bytes for `ordinals`."""
    library.put_profile(profile)
    volumes = [Volume(document.id, n, n, n + 1, 10, f"part {n + 1}") for n in range(of)]
    library.put_volumes(document.id, profile.id, volumes)
    for ordinal in ordinals:
        file = library.snapshot_scratch()
        file.write_bytes(f"{document.id}{profile.id}{ordinal}".encode().ljust(500))
        library.put_snapshot(document.id, ordinal, profile.id, file, 10, "rotated")


@pytest.fixture
def shelf(library: Library) -> dict[str, DocumentRecord]:
    """One document in each state."""
    names = ["ready", "partly", "indexed", "stale", "missing"]
    documents = {name: put(library, f"/docs/{name}.txt", f"The {name} one") for name in names}
    read(library, documents["ready"], NOW, 0, 1, of=2)
    read(library, documents["ready"], BEFORE, 0)
    read(library, documents["partly"], NOW, 0, of=3)
    read(library, documents["stale"], BEFORE, 0)
    read(library, documents["missing"], NOW, 0)
    library.mark_missing("/docs/missing.txt")
    return documents


def test_the_list(shelf: dict[str, DocumentRecord], beyondrag) -> None:
    shown = beyondrag("library", "list")
    assert (shown.code, shown.err) == (0, "")
    assert [line.split() for line in shown.out.splitlines()] == [
        ["title", "pages", "state", "tokens", "snapshot", "name"],
        ["The", "ready", "one", "1", "ready", "20", "1.50", "kB", "ready.txt"],
        ["The", "partly", "one", "1", "indexed", "30", "500", "bytes", "partly.txt"],
        ["The", "indexed", "one", "1", "indexed", "-", "-", "indexed.txt"],
        ["The", "stale", "one", "1", "stale", "10", "500", "bytes", "stale.txt"],
        ["The", "missing", "one", "1", "missing", "10", "500", "bytes", "missing.txt"],
    ]


def test_the_list_in_parts(shelf: dict[str, DocumentRecord], beyondrag) -> None:
    shown = beyondrag("library", "list", "--limit", "2", "--offset", "1")
    assert [line.split()[1] for line in shown.out.splitlines()] == ["pages", "partly", "indexed"]
    assert shown.err == "documents 2 to 3 of 5; next: --offset 3\n"
    last = beyondrag("library", "list", "--limit", "0", "--offset", "3")
    assert len(last.out.splitlines()) == 3
    assert last.err == "documents 4 to 5 of 5\n"
    beyond = beyondrag("library", "list", "--offset", "9")
    assert (beyond.out, "leaves all of them out" in beyond.err) == ("", True)
    listed = beyondrag("library", "list", "--limit", "1", "--json").json
    assert (len(listed["documents"]), listed["n_documents"]) == (1, 5)
    assert beyondrag("library", "list", "--limit", "-1").code == 2


def test_the_list_as_json(shelf: dict[str, DocumentRecord], beyondrag, isolated_user: Path) -> None:
    listed = beyondrag("library", "list", "--json").json
    assert listed["library"] == str(isolated_user / "library")
    assert (listed["n_documents"], listed["offset"]) == (5, 0)
    assert listed["failures"] == []
    assert [entry["state"] for entry in listed["documents"]] == [
        "ready",
        "indexed",
        "indexed",
        "stale",
        "missing",
    ]
    assert listed["documents"][1] == {
        "id": shelf["partly"].id,
        "title": "The partly one",
        "name": "partly.txt",
        "path": "/docs/partly.txt",
        "pages": 1,
        "state": "indexed",
        "tokens": 30,
        "n_volumes": 3,
        "n_volumes_ready": 1,
        "snapshot_bytes": 500,
        "warnings": [],
    }


def test_without_a_model_every_snapshot_is_stale(
    shelf: dict[str, DocumentRecord], beyondrag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "current_profile", lambda _library, _settings: None)
    shown = beyondrag("library", "list", "--json")
    states = [entry["state"] for entry in shown.json["documents"]]
    assert states == ["stale", "stale", "indexed", "stale", "missing"]
    assert "qwen2.5-coder-1.5b is not installed" in shown.err


def test_hostile_titles_and_names_stay_in_their_line(library: Library, beyondrag) -> None:
    put(library, "/docs/[red]\x1b[31m\nevil\u202e.txt", "\x1b]0;title\x07[bold]Annual")
    out = beyondrag("library", "list").out
    assert len(out.splitlines()) == 2
    assert not set(out) & set("\x1b\x07\u202e")
    assert "[bold]Annual" in out
    assert "[red]\\x1b[31m\\nevil\\u202e.txt" in out


def test_undecodable_names_fit_into_json(library: Library, beyondrag) -> None:
    put(library, "/docs/\udcff.txt")
    assert beyondrag("library", "list", "--json").json["documents"][0]["name"] == "\\udcff.txt"


def test_an_empty_library_says_what_to_do(library: Library, beyondrag) -> None:
    shown = beyondrag("library", "list")
    assert (shown.code, shown.out) == (0, "")
    assert "beyondrag ingest" in shown.err


def test_no_library_is_an_error_with_a_remedy(beyondrag, tmp_path: Path) -> None:
    for line in (["list"], ["show", "x"], ["remove", "x", "--yes"], ["verify"]):
        shown = beyondrag("library", *line, "--library", str(tmp_path / "none"))
        assert shown.code == 6
        assert "beyondrag ingest" in shown.err
    assert not (tmp_path / "none").exists()


def test_show(shelf: dict[str, DocumentRecord], beyondrag) -> None:
    shown = beyondrag("library", "show", "ready.txt")
    assert shown.code == 0
    out = shown.out
    assert out.startswith(f"The ready one\n  id          {shelf['ready'].id}\n  state       ready\n")
    assert "file        /docs/ready.txt" in out
    assert "volume 2    10 tokens, characters 1-2, part 2" in out
    assert out.count("current, made") == 2
    assert out.count("of another model, stale, made") == 1
    assert "unusable file" in out  # the snapshots of this test are no .kv files


def test_show_as_json(shelf: dict[str, DocumentRecord], beyondrag) -> None:
    shown = beyondrag("library", "show", shelf["ready"].short_id, "--json").json
    assert shown["paths"] == ["/docs/ready.txt"]
    assert [v["characters"] for v in shown["volumes"]] == [[0, 1], [1, 2]]
    assert [(s["volume"], s["stale"]) for s in shown["snapshots"]] == [(1, False), (2, False), (1, True)]
    assert {s["model"] for s in shown["snapshots"]} == {"this model", "another model"}
    assert shown["snapshots"][0]["bits_per_value"] is None


def test_show_with_the_text_names_each_place(library: Library, beyondrag) -> None:
    text = "first page\n\x1b[31msecond page\n"
    pages = DocumentText(text, (PageSpan("1", 0, 11), PageSpan("sheet Costs", 11, len(text))))
    document = library.add("c" * 64, SourceFile("/docs/two.pdf", 1, 1), "Two", "application/pdf", pages)
    shown = beyondrag("library", "show", "two.pdf", "--text")
    assert shown.out.endswith("\n[1]\nfirst page\n\n[sheet Costs]\n\\x1b[31msecond page\n")
    told = beyondrag("library", "show", document.short_id, "--text", "--json").json["text"]
    assert [(page["place"], page["text"]) for page in told] == [
        ("1", text[:11]),
        ("sheet Costs", text[11:]),
    ]
    assert "text" not in beyondrag("library", "show", "two.pdf", "--json").json


def test_show_names_near_ones(shelf: dict[str, DocumentRecord], beyondrag) -> None:
    shown = beyondrag("library", "show", "reddy.txt")
    assert shown.code == 6
    assert "did you mean ready.txt" in shown.err


def test_remove_asks_or_wants_yes(shelf: dict[str, DocumentRecord], library: Library, beyondrag) -> None:
    shown = beyondrag("library", "remove", "ready.txt")
    assert shown.code == 2
    assert "--yes" in shown.err
    assert library.count() == 5
    shown = beyondrag("library", "remove", "ready.txt", "--yes")
    assert (shown.code, shown.out) == (0, "removed The ready one (ready.txt)\n")
    assert library.count() == 4
    removed = beyondrag("library", "remove", "stale.txt", "--yes", "--json").json
    assert removed == {"removed": shelf["stale"].id, "title": "The stale one", "paths": ["/docs/stale.txt"]}


def test_remove_keeps_when_the_answer_is_no(
    shelf: dict[str, DocumentRecord], library: Library, beyondrag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "beyondrag.console.Console.confirm", lambda _self, question: "ready.txt" not in question
    )
    shown = beyondrag("library", "remove", "ready.txt")
    assert (shown.code, shown.err) == (1, "nothing was removed\n")
    assert library.count() == 5


def test_verify_finds_a_damaged_snapshot(
    shelf: dict[str, DocumentRecord], library: Library, beyondrag
) -> None:
    library.commit_index()
    shown = beyondrag("library", "verify")
    assert (shown.code, shown.out) == (0, "")
    assert beyondrag("library", "verify", "--json").json == {
        "ok": True,
        "deep": False,
        "documents": 5,
        "snapshots": 6,
        "findings": [],
    }
    file = library.snapshots(shelf["stale"].id)[0].path
    file.write_bytes(file.read_bytes() + b"!")
    shown = beyondrag("library", "verify")
    assert shown.code == 6
    assert "has 501 bytes instead of 500" in shown.out
    assert "library verify --deep --repair" in shown.err
    found = beyondrag("library", "verify", "--json")
    assert found.code == 6
    (finding,) = found.json["findings"]
    assert finding == {"harm": "snapshot", "text": shown.out.strip(), "subject": file.stem}
