"""Opening a document's own file in the system's viewer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from guards import PATIENCE_S
from harness import WIDE, only, running, sees, until
from samples import record, state, text
from scripted_service import ScriptedService
from textual.pilot import Pilot

from beyondrag.errors import AppError, UsageError
from beyondrag.tui import viewer
from beyondrag.tui.app import BeyondragApp
from beyondrag.tui.viewer import open_in_viewer
from kvfiles.errors import StorageError


def shell(pilot: Pilot[int]) -> BeyondragApp:
    app = pilot.app
    assert isinstance(app, BeyondragApp)
    return app


class Started:
    """Stands in for `subprocess.Popen`."""

    def __init__(self) -> None:
        self.commands: list[tuple[list[str], dict[str, Any]]] = []

    def __call__(self, command: list[str], **how: Any) -> Started:
        self.commands.append((command, how))
        return self

    def wait(self, timeout: float | None = None) -> int:
        return 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    started = Started()
    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    return started


def test_the_file_is_opened_without_a_shell(tmp_path: Path, started: Started) -> None:
    file = tmp_path / "$(touch x); -report.pdf"
    file.write_bytes(b"%PDF-1.4")
    open_in_viewer(str(file))
    ((command, how),) = started.commands
    assert command == ["/usr/bin/xdg-open", str(file)]
    assert not how.get("shell")
    assert how["start_new_session"]


@pytest.mark.parametrize("name", ["run.sh", "x.desktop", "program", "x.py", "x.command"])
def test_what_a_desktop_might_run_is_not_opened(tmp_path: Path, started: Started, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(UsageError):
        open_in_viewer(str(tmp_path / name))
    assert started.commands == []


def test_only_existing_regular_files_are_opened(
    tmp_path: Path, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.pdf").mkdir()
    (tmp_path / "report.pdf").write_text("x")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError):
        open_in_viewer(str(tmp_path / "gone.pdf"))
    for path in (str(tmp_path / "folder.pdf"), "report.pdf", "a\0b.pdf"):
        with pytest.raises(UsageError):
            open_in_viewer(path)
    assert started.commands == []


def test_a_system_without_a_viewer_says_so(
    tmp_path: Path, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.pdf").write_text("x")
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(AppError, match="xdg-open"):
        open_in_viewer(str(tmp_path / "report.pdf"))


async def test_o_opens_the_file_and_tells_when_it_is_gone(
    service: ScriptedService, started: Started, tmp_path: Path
) -> None:
    file = tmp_path / "there.pdf"
    file.write_bytes(b"%PDF-1.4")
    there, gone = record("there.pdf", path=str(file)), record("gone.pdf", path=str(tmp_path / "gone.pdf"))
    for document in (there, gone):
        service.shelf_data.add(state(document), text())
    async with running(service, WIDE, screens=only()) as pilot:
        shell(pilot).open_document(there.id, there.title)
        await sees(pilot, "page 1 line 0")
        await pilot.press("o")
        await until(pilot, lambda: started.commands)
        await sees(pilot, "It is open in the system's viewer.")
        await pilot.press("escape")
        shell(pilot).open_document(gone.id, gone.title)
        await sees(pilot, "gone.pdf")
        await pilot.press("o")
        await sees(pilot, "no such file or directory")
        assert len(started.commands) == 1


# ------------------------------------------------------------------------------- a real opener


@pytest.fixture
def opener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `xdg-open` that writes its arguments, each with a NUL behind it; `code` holds how it ends."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "xdg-open"
    script.write_text(
        f"#!{sys.executable} -I\n"
        "import pathlib, sys\n"
        f"here = pathlib.Path({str(folder)!r})\n"
        "(here / 'got.tmp').write_bytes(b''.join(a.encode() + b'\\0' for a in sys.argv[1:]))\n"
        "(here / 'got.tmp').rename(here / 'got')\n"
        "sys.exit(int((here / 'code').read_text()))\n"
    )
    script.chmod(0o755)
    (folder / "code").write_text("0")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(viewer, "_REFUSAL_S", PATIENCE_S)
    for name in ("SSH_CONNECTION", "SSH_TTY", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.mark.parametrize(
    "name", ["two words.pdf", "-rf.pdf", "--help.txt", "a\nb.md", "$(touch x).pdf", "%s&x=1.pdf", "飞机.pdf"]
)
def test_the_opener_gets_one_argument_whatever_the_name(tmp_path: Path, opener: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"x")
    open_in_viewer(str(file))
    assert (opener / "got").read_bytes() == str(file).encode() + b"\0"


def test_an_opener_without_a_program_for_the_file_is_told(tmp_path: Path, opener: Path) -> None:
    (opener / "code").write_text("3")
    (tmp_path / "report.pdf").write_text("x")
    with pytest.raises(AppError, match="no program that opens it") as failed:
        open_in_viewer(str(tmp_path / "report.pdf"))
    assert str(tmp_path / "report.pdf") in failed.value.remedy


@pytest.mark.parametrize("name", ["SSH_CONNECTION", "SSH_TTY"])
def test_over_ssh_the_path_is_given_instead(
    tmp_path: Path, opener: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "report.pdf").write_text("x")
    monkeypatch.setenv(name, "10.0.0.1 1 10.0.0.2 22")
    with pytest.raises(AppError, match="over ssh") as failed:
        open_in_viewer(str(tmp_path / "report.pdf"))
    assert str(tmp_path / "report.pdf") in failed.value.remedy
    assert not (opener / "got").exists()
    monkeypatch.setenv("DISPLAY", "localhost:10.0")  # X11 is forwarded
    open_in_viewer(str(tmp_path / "report.pdf"))
    assert (opener / "got").exists()
