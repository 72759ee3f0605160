"""`beyondrag library verify --repair`, `gc`, `stats`, `export` and `import`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from small_kv import PROFILE, read

from beyondrag import reading
from library.records import DocumentText, PageSpan, SourceFile
from library.store import Library

HOSTILE = "/docs/[red]\x1b[31m\n\udcff.txt"


@pytest.fixture(autouse=True)
def current_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "current_profile", lambda _library, _settings: PROFILE.id)


@pytest.fixture
def full(library: Library) -> Library:
    """Two documents, each with a snapshot; one has a hostile name."""
    with library.writing():
        for path, text in ((HOSTILE, "zebra"), ("/docs/b.txt", "okapi")):
            pages = DocumentText(text, (PageSpan("1", 0, 5),))
            source = SourceFile(path, 5, 1)
            name = hashlib.sha256(text.encode()).hexdigest()
            read(library, library.add(name, source, f"About {text}", "text/plain", pages))
    library.close()
    with Library.open(library.root) as again:
        yield again


def test_repair(full: Library, beyondrag) -> None:
    file = full.snapshots()[0].path
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    assert beyondrag("library", "verify").code == 0
    assert beyondrag("library", "verify", "--deep").code == 6
    shown = beyondrag("library", "verify", "--deep", "--repair")
    assert shown.code == 0
    found, done = shown.out.splitlines()
    assert "is damaged, its checksum does not fit" in found
    assert done.startswith("repaired: The snapshot of ")
    assert "2 documents, no findings left" in shown.err
    assert len(full.snapshots()) == 1
    assert beyondrag("library", "verify", "--deep").code == 0


def test_repair_that_cannot_mend_everything(full: Library, beyondrag) -> None:
    with full._catalogue.transaction() as connection:
        connection.execute("UPDATE texts SET checksum = 'x' WHERE n_bytes = 5")
    shown = beyondrag("library", "verify", "--repair", "--json")
    assert shown.code == 6
    assert shown.json["ok"] is False
    assert (len(shown.json["found"]), shown.json["done"], len(shown.json["findings"])) == (2, [], 2)
    assert {finding["harm"] for finding in shown.json["findings"]} == {"text"}
    assert "still wrong:" in beyondrag("library", "verify", "--repair").out


def test_gc(full: Library, beyondrag) -> None:
    orphan = full.root / "kv" / "ab" / f"ab{'0' * 62}.kv"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"12345")
    shown = beyondrag("library", "gc", "--dry-run")
    assert (shown.code, shown.out) == (0, f"{orphan} (5 bytes)\n")
    assert "would be removed" in shown.err
    assert orphan.exists()
    removed = beyondrag("library", "gc", "--json").json
    assert removed == {
        "dry_run": False,
        "files": [{"path": str(orphan), "size_bytes": 5}],
        "size_bytes": 5,
    }
    assert not orphan.exists()
    assert "no left-over files removed" in beyondrag("library", "gc").err


def test_gc_refuses_while_something_is_written(full: Library, beyondrag) -> None:
    with full.writing():
        shown = beyondrag("library", "gc")
    assert shown.code == 6
    assert "has been writing since" in shown.err


def test_stats(full: Library, beyondrag) -> None:
    shown = beyondrag("library", "stats")
    assert shown.code == 0
    assert "  documents     2\n" in shown.out
    assert shown.out.splitlines()[-1].split()[:3] == ["tiny", "exact", "2"]
    assert shown.out.splitlines()[-1].endswith("current")
    told = beyondrag("library", "stats", "--json").json
    assert told["n_documents"] == 2
    assert told["total_bytes"] > told["snapshot_bytes"] > 0
    (profile,) = told["profiles"]
    assert profile["compression"] == pytest.approx(16 / profile["bits_per_value"])


def test_stats_of_nothing(library: Library, beyondrag) -> None:
    assert beyondrag("library", "stats").code == 0
    assert beyondrag("library", "stats", "--json").json["profiles"] == []


def test_out_and_in(full: Library, beyondrag, tmp_path: Path) -> None:
    archive, elsewhere = tmp_path / "mit Leerzeichen ü.tar", tmp_path / "else where"
    shown = beyondrag("library", "export", archive)
    assert shown.code == 0
    assert shown.out.startswith("exported 2 documents and 2 snapshots: ")
    again = beyondrag("library", "export", archive)
    assert (again.code, "--overwrite" in again.err) == (6, True)
    assert beyondrag("library", "export", archive, "--overwrite", "--json").json["left_out"] == []
    shown = beyondrag("library", "import", archive, "--library", elsewhere)
    assert shown.code == 0
    assert shown.out == (
        "imported 2 new documents; 0 known ones were completed, 0 had everything\n"
        "  2 snapshots of tiny (exact): they fit the configured model\n"
    )
    told = beyondrag("library", "import", archive, "--library", elsewhere, "--json").json
    assert (told["added"], told["known"], told["snapshots"]) == (0, 2, 0)
    assert told["profiles"][0]["matches"] is True
    assert beyondrag("library", "verify", "--deep", "--library", elsewhere).code == 0
    listed = beyondrag("library", "list", "--library", elsewhere)
    assert not set(listed.out) & {"\x1b", "\udcff"}


def test_a_chosen_document(full: Library, beyondrag, tmp_path: Path) -> None:
    told = beyondrag("library", "export", tmp_path / "x.tar", "--doc", "b.txt", "--json").json
    assert (told["documents"], told["snapshots"]) == (1, 1)
    missing = beyondrag("library", "export", tmp_path / "y.tar", "--doc", "nothing")
    assert missing.code == 6
    assert not list(tmp_path.glob("y.tar*"))


def test_an_import_for_another_model_says_so(
    full: Library, beyondrag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beyondrag("library", "export", tmp_path / "x.tar")
    monkeypatch.setattr(reading, "current_profile", lambda _library, _settings: "9" * 32)
    shown = beyondrag("library", "import", tmp_path / "x.tar", "--library", tmp_path / "new")
    assert shown.code == 0
    assert "they do not fit the configured model" in shown.out
    assert "no snapshot fits the configured model" in shown.err
    told = beyondrag("library", "import", tmp_path / "x.tar", "--library", tmp_path / "new", "--json").json
    assert told["profiles"][0]["matches"] is False


def test_what_is_no_archive_leaves_no_library_behind(beyondrag, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"junk")
    for path in (tmp_path / "junk", tmp_path / "nowhere"):
        shown = beyondrag("library", "import", path, "--library", tmp_path / "new")
        assert shown.code in (6, 7)
        assert "try: " in shown.err
    assert not (tmp_path / "new").exists()


def test_a_damaged_archive_says_what_was_kept(full: Library, beyondrag, tmp_path: Path) -> None:
    beyondrag("library", "export", tmp_path / "x.tar")
    data = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(data[: len(data) - 4096])
    shown = beyondrag("library", "import", tmp_path / "cut.tar", "--library", tmp_path / "new")
    assert shown.code == 6
    assert "imported 1 new documents" in shown.out
    assert "it is cut off" in shown.err
