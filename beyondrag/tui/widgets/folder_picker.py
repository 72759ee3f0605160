"""Choosing a folder: a path that completes itself, and a tree of folders below it."""

from __future__ import annotations

import asyncio
import os
from itertools import islice
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input

from beyondrag.tui.widgets.folder_tree import MAX_ENTRIES, FolderTree


class FolderPicker(Vertical):
    """`Chosen` follows when Enter is pressed in the path or on a folder of the tree."""

    DEFAULT_CSS = """
    FolderPicker { height: 1fr; min-height: 6; }
    FolderPicker > FolderTree { height: 1fr; border: none; }
    """

    class Chosen(Message):
        """A path was given; nobody has looked yet whether it is there."""

        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path

    def __init__(self, start: Path, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._start = start

    def compose(self) -> ComposeResult:
        yield Input(
            placeholder="path of a folder or file: → completes, Enter chooses",
            suggester=PathSuggester(),
            id="path",
        )
        yield FolderTree(self._start, id="folders")

    @property
    def path(self) -> Path | None:
        """What stands in the input; None when it is empty or no path."""
        return path_from(self.query_one("#path", Input).value)

    @on(Input.Submitted, "#path")
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        path = path_from(event.value)
        if path is not None:
            self.post_message(self.Chosen(path))

    @on(FolderTree.NodeHighlighted)
    def _highlighted(self, event: FolderTree.NodeHighlighted[Path]) -> None:
        event.stop()
        if event.node.data is None or not self.query_one(FolderTree).has_focus:
            return
        field = self.query_one("#path", Input)
        field.value = str(event.node.data)
        field.cursor_position = len(field.value)

    @on(FolderTree.NodeSelected)
    def _selected(self, event: FolderTree.NodeSelected[Path]) -> None:
        event.stop()
        if event.node.data is not None:
            self.post_message(self.Chosen(event.node.data))

    def clear(self) -> None:
        """Nothing is chosen any more."""
        self.query_one("#path", Input).value = ""


class PathSuggester(Suggester):
    """Completes the last part of a path with the first folder or file that fits."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        return await asyncio.to_thread(complete, value)


def path_from(text: str) -> Path | None:
    """The absolute path that `text` means, with ``~``; None when it is empty or cannot be a path."""
    text = text.strip()
    if not text or "\0" in text:
        return None
    try:
        return Path(text).expanduser().absolute()
    except (RuntimeError, OSError):  # ~nobody; a current folder that is gone
        return None


def complete(text: str) -> str | None:
    """`text` with its last part completed, folders first and with a slash; None when nothing fits."""
    head, tail = os.path.split(text)
    folder = path_from(head or ".")
    if not text or folder is None:
        return None
    try:
        with os.scandir(folder) as entries:
            fitting = [
                (not entry.is_dir(), entry.name)
                for entry in islice(entries, MAX_ENTRIES)
                if entry.name.startswith(tail)
                and (tail or not entry.name.startswith("."))
                and entry.name.isprintable()
            ]
    except OSError:
        return None
    if not fitting:
        return None
    is_file, name = min(fitting)
    # Not as a Path: "~" and a missing head stay as they were typed.
    return text[: len(text) - len(tail)] + name + ("" if is_file else os.sep)
