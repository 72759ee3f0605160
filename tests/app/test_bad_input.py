"""Whatever is put in: one clear message with a remedy, the right exit code, and nothing lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Run
from fpdf import FPDF
from guards import PATIENCE_S
from PIL import Image
from pypdf import PdfReader, PdfWriter
from small_world import World

from beyondrag.engine import Engine
from library.store import Library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    made.mkdir()
    return made


def names(isolated_user: Path) -> set[str]:
    with Library.open(isolated_user / "library") as library:
        return {document.name for document in library.documents()}


def pdf(path: Path, text: str = "") -> None:
    made = FPDF()
    made.set_font("helvetica", size=12)
    made.add_page()
    if text:
        made.multi_cell(0, 6, text)
    path.write_bytes(bytes(made.output()))


def test_a_path_that_is_not_there(beyondrag: Run, tmp_path: Path) -> None:
    shown = beyondrag("ingest", tmp_path / "nowhere", "--index-only")
    assert shown.code == 4
    assert "there is no such file or folder" in shown.err
    assert "try: check the spelling" in shown.err


def test_a_path_that_may_not_be_read(beyondrag: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "secret.txt").write_text("The lamp is lit at dusk.")
    monkeypatch.setattr(os, "access", lambda *_arguments, **_options: False)  # root may read everything
    shown = beyondrag("ingest", folder / "secret.txt", "--index-only")
    assert shown.code == 4
    assert "it may not be read" in shown.err
    assert "chmod" in shown.err


@pytest.mark.parametrize("kind", ["empty", "unsupported"])
def test_a_folder_with_nothing_to_read(beyondrag: Run, folder: Path, kind: str) -> None:
    if kind == "unsupported":
        (folder / "a.zip").write_bytes(b"PK")
        (folder / "b.xyz").write_bytes(b"x")
    for options in (["--index-only"], ["--dry-run"]):
        shown = beyondrag("ingest", folder, *options)
        assert shown.code == 4
        assert "  try: " in shown.err
        assert (".zip (1)" in shown.err) == (kind == "unsupported")


def test_every_bad_file_is_named_and_the_good_one_is_kept(
    beyondrag: Run, folder: Path, isolated_user: Path
) -> None:
    (folder / "good.txt").write_text("The lamp is lit at dusk.")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "junk.txt").write_bytes(os.urandom(5000))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing more")
    pdf(folder / "blank.pdf")
    pdf(folder / "open.pdf", "The oven burns beech wood. " * 20)
    locked = PdfWriter(clone_from=PdfReader(folder / "open.pdf"))
    locked.encrypt("secret")
    locked.write(folder / "locked.pdf")
    scan = FPDF()
    scan.add_page()
    scan.image(Image.new("L", (120, 160), 200), x=10, y=60, w=180)
    (folder / "scanned.pdf").write_bytes(bytes(scan.output()))
    with (folder / "nopages.pdf").open("wb") as file:
        PdfWriter().write(file)
    shown = beyondrag("ingest", folder, "--index-only")
    assert shown.code == 0
    assert names(isolated_user) == {"good.txt", "open.pdf"}
    for bad in (
        "empty.txt",
        "junk.txt",
        "broken.pdf",
        "blank.pdf",
        "locked.pdf",
        "nopages.pdf",
        "scanned.pdf",
    ):
        (line,) = [line for line in shown.err.splitlines() if f"/{bad}:" in line]
        assert line.startswith("warning: ")
        assert "; try: " in line
    assert "password" in shown.err
    assert "ocrmypdf" in shown.err
    again = beyondrag("ingest", folder, "--index-only", "--json")
    assert again.json["files"] == {"new": 0, "changed": 0, "unchanged": 2, "copy": 0, "failed": 7}
    assert {failure["code"] for failure in again.json["failures"]} >= {
        "empty",
        "binary",
        "broken",
        "encrypted",
    }


def test_only_bad_files_is_an_error(beyondrag: Run, folder: Path) -> None:
    (folder / "empty.txt").write_bytes(b"")
    assert beyondrag("ingest", folder, "--index-only").code == 4


@pytest.mark.parametrize(
    "name",
    [
        b"[red]bold[bold].txt",
        b"\x1b[31mred\x1b]0;title\x07.txt",
        b"\xff\xfe.txt",
        b"a\nb.txt",
        "\u202egnp.txt".encode(),
    ],
)
def test_names_are_only_text(beyondrag: Run, folder: Path, name: bytes) -> None:
    path = os.fsencode(folder) + b"/" + name
    Path(os.fsdecode(path)).write_text("The lamp is lit at dusk.")
    Path(os.fsdecode(path + b".bad.txt")).write_bytes(b"")
    shown = beyondrag("ingest", folder, "--index-only")
    assert shown.code == 0
    listed = beyondrag("library", "list")
    assert listed.code == 0
    for text in (shown.out + shown.err, listed.out):
        assert "\u202e" not in text
        assert "\x07" not in text
    assert beyondrag("ingest", folder, "--index-only", "--json").json["files"]["unchanged"] == 1


@pytest.mark.parametrize("question", ["", "   ", "why " * 25_000])
def test_questions_that_cannot_be_asked(beyondrag: Run, question: str) -> None:
    shown = beyondrag("ask", question)
    assert shown.code == 2
    assert "the question" in shown.err
    assert "  try: " in shown.err
    assert len(shown.err) < 500


@pytest.mark.parametrize(
    "options", [["--top-k", "0"], ["--top-k", "x"], ["--top-k", "9" * 5000], ["--max-tokens", "-1"]]
)
def test_numbers_that_make_no_sense(beyondrag: Run, options: list[str]) -> None:
    shown = beyondrag("ask", "why?", *options)
    assert shown.code == 2
    assert "whole number" in shown.err or "expected one argument" in shown.err


@pytest.mark.parametrize("wait", ["nan", "inf", "-1", "1e300", "soon"])
def test_a_wait_that_makes_no_sense(beyondrag: Run, folder: Path, wait: str) -> None:
    assert beyondrag("ingest", folder, f"--wait={wait}").code == 2


def test_asking_without_a_library(beyondrag: Run, tmp_path: Path) -> None:
    shown = beyondrag("ask", "why?", "--library", tmp_path / "none")
    assert shown.code == 6
    assert "beyondrag ingest" in shown.err


@pytest.mark.parametrize("command", [["ingest", ".", "--dry-run"], ["ingest", ".", "--index-only"]])
def test_a_library_that_is_a_file(beyondrag: Run, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("precious")
    shown = beyondrag(*command, "--library", tmp_path / "file")
    assert shown.code == 6
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize(
    "command", [["ask", "why?"], ["ingest", ".", "--dry-run"], ["ingest", ".", "--index-only"]]
)
def test_a_library_of_a_newer_program(beyondrag: Run, isolated_user: Path, command: list[str]) -> None:
    Library.create_or_open(isolated_user / "library").close()
    catalogue = isolated_user / "library" / "catalogue.sqlite3"
    connection = sqlite3.connect(catalogue)
    connection.execute("PRAGMA user_version = 9999")
    connection.close()
    shown = beyondrag(*command)
    assert shown.code == 6
    assert "newer" in shown.err
    assert "  try: " in shown.err


def test_a_model_that_is_none(beyondrag: Run, folder: Path, tmp_path: Path, isolated_user: Path) -> None:
    (folder / "good.txt").write_text("The lamp is lit at dusk.")
    (tmp_path / "bad.gguf").write_bytes(b"not a model at all")
    for model in (tmp_path / "bad.gguf", tmp_path / "absent.gguf", "absent"):
        for command in (["ingest", folder, "--yes"], ["ask", "When is the lamp lit?"]):
            shown = beyondrag(*command, "--model", model)
            assert shown.code == 5
            assert "  try: " in shown.err
    assert names(isolated_user) == {"good.txt"}, "what was indexed stays"


def test_a_file_that_goes_or_changes_while_it_is_read(
    beyondrag: Run, folder: Path, isolated_user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.sandbox import ParsedFile, ParserPool
    from ingest.scan import ScannedFile

    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(f"{name}: the lamp is lit at dusk.")
    parse = ParserPool.parse

    def late(self: ParserPool, file: ScannedFile) -> ParsedFile:
        if file.path.name == "a.txt":
            file.path.unlink()
        return parse(self, file)

    monkeypatch.setattr(ParserPool, "parse", late)
    shown = beyondrag("ingest", folder, "--index-only")
    assert shown.code == 0
    assert "disappeared" in shown.err
    assert names(isolated_user) == {"b.txt"}


def test_ctrl_c_while_indexing_keeps_what_is_finished(
    beyondrag: Run, folder: Path, isolated_user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.sandbox import ParsedFile, ParserPool
    from ingest.scan import ScannedFile

    files = {f"{number:03}.txt" for number in range(300)}
    for name in files:
        (folder / name).write_text(f"{name}: the lamp is lit at dusk.")
    parse = ParserPool.parse

    def pressed(self: ParserPool, file: ScannedFile) -> ParsedFile:
        if file.path.name == "001.txt":
            os.kill(os.getpid(), signal.SIGINT)
        return parse(self, file)

    with monkeypatch.context() as patch:
        patch.setattr(ParserPool, "parse", pressed)
        shown = beyondrag("ingest", folder, "--index-only")
    assert shown.code == 130
    assert "finished work is kept" in shown.err
    assert names(isolated_user) < files
    assert beyondrag("ingest", folder, "--index-only").code == 0
    assert names(isolated_user) == files


@pytest.mark.model
def test_a_corrupt_snapshot_through_the_command_line(beyondrag: Run, world: World) -> None:
    options = ["--library", world.settings.library, "--model", world.settings.model, "--context", "2048"]
    with world.library() as library:
        record = library.snapshots(library.find("harbour").id)[0]
    data = bytearray(record.path.read_bytes())
    data[-1000] ^= 1
    record.path.write_bytes(data)
    ask = ["ask", "How old was the keeper at Skerry Point?", "--json", "--no-check", "--max-tokens", "16"]
    shown = beyondrag(*ask, *options, "--threads", "2")
    assert shown.code == 0
    assert shown.json["prefilled_tokens"] > 0
    assert shown.json["documents"][0]["read_from"] == "prefill"


@pytest.mark.model
def test_a_full_disk_keeps_what_is_finished(
    beyondrag: Run, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from ingest import reader as reader_module
    from kvfiles.container import storage_error

    def full(path: Path, *_arguments: object, **_options: object) -> int:
        raise storage_error(OSError(errno.ENOSPC, "No space left on device"), path)

    (tmp_path / "new.txt").write_text("The bell of Fern Hill rings at nine.")
    monkeypatch.setattr(reader_module, "save_snapshot", full)
    options = ["--library", world.settings.library, "--model", world.settings.model, "--context", "2048"]
    shown = beyondrag("ingest", tmp_path / "new.txt", "--yes", *options, "--threads", "2")
    assert shown.code == 7
    assert "No space left on device" in shown.err
    assert "free disk space" in shown.err
    with world.library() as library:
        assert library.find("new.txt").title
        assert len(library.snapshots()) == 2
        assert library.verify() == []


@pytest.mark.model
def test_answers_come_while_another_process_ingests(beyondrag: Run, world: World, folder: Path) -> None:
    (folder / "good.txt").write_text("The lamp is lit at dusk.")
    hold = (
        "import sys; from pathlib import Path; from library.store import Library\n"
        "with Library.open(Path(sys.argv[1])) as library, library.writing():\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(world.settings.library)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        second = beyondrag("ingest", folder, "--index-only", "--library", world.settings.library)
        with world.library() as library, Engine(world.settings, library) as engine:
            events = list(engine.ask("How old was the keeper at Skerry Point?"))
        holder.communicate(b"", timeout=PATIENCE_S)
    assert second.code == 6
    assert f"process {holder.pid} on " in second.err
    assert "  try: " in second.err
    assert events
