"""Ingest: folder, plan, reading, pause, cancel, problems; wherever it was started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from harness import NARROW, WIDE, only, running, sees, settle, shown, until
from samples import HOSTILE, PROBLEM
from scripted_service import ScriptedService
from textual.pilot import Pilot
from textual.widgets import Input

from beyondrag.service.notices import (
    FileProblem,
    Ingested,
    IngestFailed,
    Looking,
    Plan,
    Reading,
    TaskFailed,
    VolumeRead,
)
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.screens.ingest import IngestScreen
from beyondrag.tui.widgets.folder_picker import complete, path_from
from beyondrag.tui.widgets.folder_tree import FolderTree, folders_in
from beyondrag.tui.widgets.ingest_flow import IngestFlow

SIZES = (NARROW, WIDE)
PROBLEMS = (
    FileProblem("/documents/scan.pdf", "it has no text: it looks like a scan", "run ocrmypdf on it"),
    FileProblem(f"/documents/{HOSTILE}", f"odd: {HOSTILE}", ""),
)


def ingest_only() -> Callable[[], Mapping[str, NoticeScreen[None]]]:
    return only(ingest=IngestScreen())


async def open_ingest(pilot: Pilot[int]) -> IngestFlow:
    pilot.app.show_mode("ingest")  # type: ignore[attr-defined] - a BeyondragApp
    await until(pilot, lambda: isinstance(pilot.app.screen, IngestScreen))
    await settle(pilot)
    return pilot.app.screen.query_one(IngestFlow)


async def choose(pilot: Pilot[int], folder: Path) -> None:
    pilot.app.screen.query_one("#path", Input).focus()
    pilot.app.screen.query_one("#path", Input).value = str(folder)
    await pilot.press("enter")
    await settle(pilot)


def plan(service: ScriptedService, folder: Path, seconds: float | None = 130.0) -> Plan:
    files = (("new", 3), ("unchanged", 2), ("failed", 1), ("copy", 0))
    return Plan(service.last_request, (folder,), files, PROBLEMS, 4, 12_345, 90_000_000, seconds)


def reading(request: int, index: int, name: str, *, paused: bool = False) -> Reading:
    return Reading(
        request, name, name, index, 3, 100, 4_000, 4_000 * index + 100, 12_000, 95.0, 125.0, paused
    )


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_is_read_before_the_plan_is_seen(
    service: ScriptedService, size: tuple[int, int], tmp_path: Path
) -> None:
    async with running(service, size, screens=ingest_only()) as pilot:
        await open_ingest(pilot)
        await choose(pilot, tmp_path)
        assert service.asked("plan") == [((tmp_path,),)]
        service.tell(Looking(service.last_request, 2, 6, HOSTILE))
        await sees(pilot, "2 of 6 · [/] [bold]x[/bold]")
        service.tell(plan(service, tmp_path))
        seen = await sees(pilot, "4 volumes, 12,345 tokens, 90.0 MB of snapshots")
        assert "3 new, 2 unchanged, 1 failed" in seen
        assert "copy" not in seen
        assert "about 2 min 10 s" in seen
        assert "it has no text: it looks like a scan" in seen
        assert "run ocrmypdf on it" in seen
        assert service.asked("ingest") == []
        await pilot.press("enter")
        await until(pilot, lambda: service.asked("ingest") == [((tmp_path,), True)])


@pytest.mark.parametrize("size", SIZES)
async def test_progress_pause_cancel_and_the_end(
    service: ScriptedService, size: tuple[int, int], tmp_path: Path
) -> None:
    async with running(service, size, screens=ingest_only()) as pilot:
        flow = await open_ingest(pilot)
        await choose(pilot, tmp_path)
        service.tell(plan(service, tmp_path))
        await sees(pilot, "Read them now")
        await pilot.press("enter")
        await until(pilot, lambda: service.asked("ingest"))
        request = service.last_request
        service.tell(reading(request, 0, HOSTILE))
        seen = await sees(pilot, "1 of 3 · 100 of 12,000 tokens · 95 tokens/s · 2 min 05 s left")
        assert "100/4,000" in seen
        assert "\x1b" not in seen
        await pilot.press("space")
        await until(pilot, lambda: ("pause", request, True) in service.calls)
        service.tell(VolumeRead(request, HOSTILE, HOSTILE, 15_000_000), reading(request, 1, "b", paused=True))
        seen = await sees(pilot, "Paused")
        assert "15.0 MB" in seen or size == NARROW
        assert "kept" in seen
        await pilot.press("space")
        await until(pilot, lambda: ("pause", request, False) in service.calls)
        await pilot.press("c")
        await until(pilot, lambda: ("stop", request) in service.calls)
        service.tell(Ingested(request, 3, 1, 4_000, 42.0, True, PROBLEMS))
        seen = await sees(pilot, "Cancelled: what was finished is kept")
        assert "3 indexed · 1 read · 4,000 tokens · 42 s altogether" in seen
        assert "run ocrmypdf on it" in seen
        assert not flow.job.running
        await pilot.press("space", "c")
        assert len([call for call in service.calls if call[0] in ("pause", "stop")]) == 3
        pilot.app.screen.query_one("#more").focus()
        await pilot.press("enter")
        await sees(pilot, "Which folder shall be read?")


async def test_making_searchable_without_reading(service: ScriptedService, tmp_path: Path) -> None:
    async with running(service, screens=ingest_only()) as pilot:
        await open_ingest(pilot)
        await choose(pilot, tmp_path)
        service.tell(plan(service, tmp_path, seconds=None))
        await sees(pilot, "not known before the first document is read")
        await pilot.click("#index")
        await until(pilot, lambda: service.asked("ingest") == [((tmp_path,), False)])


async def test_a_plan_without_work_leads_back(service: ScriptedService, tmp_path: Path) -> None:
    async with running(service, screens=ingest_only()) as pilot:
        await open_ingest(pilot)
        await choose(pilot, tmp_path)
        service.tell(Plan(service.last_request, (tmp_path,), (("unchanged", 3),), (), 0, 0, 0, None))
        await sees(pilot, "There is nothing to do.")
        await pilot.press("enter")
        await sees(pilot, "Which folder shall be read?")
        assert service.asked("ingest") == []


async def test_a_plan_that_fails_is_told_and_one_chooses_again(
    service: ScriptedService, tmp_path: Path
) -> None:
    async with running(service, screens=ingest_only()) as pilot:
        await open_ingest(pilot)
        await choose(pilot, tmp_path / "gone")
        service.tell(TaskFailed(service.last_request, PROBLEM))
        await sees(pilot, "llama.cpp refused the batch")
        await sees(pilot, "Which folder shall be read?")


async def test_looking_can_be_stopped(service: ScriptedService, tmp_path: Path) -> None:
    async with running(service, screens=ingest_only()) as pilot:
        await open_ingest(pilot)
        await choose(pilot, tmp_path)
        request = service.last_request
        await pilot.press("enter")  # the cursor stands on Stop
        await until(pilot, lambda: ("stop", request) in service.calls)
        await sees(pilot, "Which folder shall be read?")
        service.tell(plan(service, tmp_path))  # too late
        await settle(pilot)
        assert "Which folder shall be read?" in shown(pilot)


async def test_an_ingest_started_elsewhere_is_shown_on_return(service: ScriptedService) -> None:
    async with running(service, screens=ingest_only()) as pilot:
        service.tell(
            reading(77, 0, "a.pdf"), VolumeRead(77, "a.pdf", "a.pdf", 1_000), reading(77, 1, "b.pdf")
        )
        await settle(pilot)
        await open_ingest(pilot)
        seen = await sees(pilot, "2 of 3 · 4,100 of 12,000 tokens")
        assert "a.pdf" in seen
        assert "b.pdf" in seen
        await pilot.press("f2")
        service.tell(IngestFailed(77, PROBLEM))
        await settle(pilot)
        await pilot.press("f4")
        seen = await sees(pilot, "It could not go on: what was finished is kept")
        assert "llama.cpp refused the batch" in seen


async def test_the_tree_leads_to_a_folder(service: ScriptedService, isolated_user: Path) -> None:
    for name in ("letters/old", "[bold]x", ".hidden", "\x1b[31mred"):
        (isolated_user / name).mkdir(parents=True)
    (isolated_user / "file.txt").write_text("x")
    async with running(service, screens=ingest_only()) as pilot:
        await open_ingest(pilot)
        seen = await sees(pilot, "letters")
        assert "▸ [bold]x" in seen
        assert r"\x1b[31mred" in seen
        assert ".hidden" not in seen
        assert "file.txt" not in seen
        tree = pilot.app.screen.query_one(FolderTree)
        tree.focus()
        while tree.cursor_node is None or tree.cursor_node.data != isolated_user / "letters":
            await pilot.press("down")
        await pilot.press("right")
        await sees(pilot, "old")
        await pilot.press("right")
        assert pilot.app.screen.query_one("#path", Input).value == str(isolated_user / "letters" / "old")
        await pilot.press("left", "enter")
        await until(pilot, lambda: service.asked("plan") == [((isolated_user / "letters",),)])


async def test_the_path_completes_itself(service: ScriptedService, isolated_user: Path) -> None:
    (isolated_user / "letters").mkdir()
    async with running(service, screens=ingest_only()) as pilot:
        await open_ingest(pilot)
        field = pilot.app.screen.query_one("#path", Input)
        field.focus()
        await pilot.press(*"~/le")
        await until(pilot, lambda: field._suggestion)
        await pilot.press("right", "enter")
        await until(pilot, lambda: service.asked("plan") == [((isolated_user / "letters",),)])


def test_completion_prefers_folders_and_tells_files(tmp_path: Path) -> None:
    (tmp_path / "b-folder").mkdir()
    (tmp_path / "a-file.txt").write_text("x")
    (tmp_path / ".secret").mkdir()
    (tmp_path / "bad\x1bname").mkdir()
    assert complete(f"{tmp_path}/") == f"{tmp_path}/b-folder/"
    assert complete(f"{tmp_path}/a") == f"{tmp_path}/a-file.txt"
    assert complete(f"{tmp_path}/.s") == f"{tmp_path}/.secret/"
    assert complete(f"{tmp_path}/bad") is None
    assert complete(f"{tmp_path}/zz") is None
    assert complete(f"{tmp_path}/a-file.txt/x") is None
    assert complete("") is None


def test_paths_that_are_none() -> None:
    assert path_from("  ") is None
    assert path_from("a\0b") is None
    assert path_from("~nobody-of-this-name/x") is None


def test_a_huge_folder_is_only_looked_into_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in range(30):
        (tmp_path / f"{place:02}").mkdir()
    assert folders_in(tmp_path) == ([f"{place:02}" for place in range(30)], True)
    monkeypatch.setattr("beyondrag.tui.widgets.folder_tree.MAX_FOLDERS", 10)
    names, complete_ = folders_in(tmp_path)
    assert (len(names), complete_) == (10, False)
    monkeypatch.setattr("beyondrag.tui.widgets.folder_tree.MAX_ENTRIES", 5)
    names, complete_ = folders_in(tmp_path)
    assert (len(names), complete_) == (5, False)


async def test_an_enter_too_many_does_not_cancel_what_has_just_begun(
    service: ScriptedService, tmp_path: Path
) -> None:
    async with running(service) as pilot:
        await pilot.press("f4")
        await sees(pilot, "Which folder shall be read?")
        pilot.app.screen.query_one("#path", Input).value = str(tmp_path)
        await pilot.press("enter")
        await until(pilot, lambda: service.asked("plan"))
        service.tell(Plan(service.last_request, (tmp_path,), (("new", 2),), (), 2, 8_000, 60_000_000, 90.0))
        await sees(pilot, "Read them now")
        await pilot.press("enter", "enter", "enter")
        await until(pilot, lambda: service.asked("ingest"))
        await settle(pilot)
        assert len(service.asked("ingest")) == 1
        assert service.asked("stop") == []
        await pilot.press("c")
        await until(pilot, lambda: service.asked("stop") == [(service.last_request,)])
