"""Folders below a folder, listed when they are opened.

Textual's `DirectoryTree` asks the file system on the UI thread whether each entry is a folder; here all of
that happens in a thread, and a folder with a million files is only looked into so far.
"""

from __future__ import annotations

import asyncio
import os
from itertools import islice
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType
from textual.reactive import var
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from beyondrag.terminal_text import escaped
from beyondrag.tui.wording import path_in_words

MAX_ENTRIES = 5000
"""Of one folder that are looked at."""

MAX_FOLDERS = 500
"""Of one folder that are shown; a path that is typed reaches the others."""


class FolderTree(Tree[Path]):
    """A node's data is its path; None for a note.  Selecting a node chooses the folder."""

    ICON_NODE = "▸ "
    ICON_NODE_EXPANDED = "▾ "
    auto_expand = var(False)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "open_folder", "Open folder"),
        Binding("left,h", "close_folder", "Close folder", show=False),
    ]

    def __init__(self, start: Path, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(Text(path_in_words(start)), start, id=id)
        self._listed: set[TreeNode[Path]] = set()

    def on_mount(self) -> None:
        self.root.expand()

    def action_open_folder(self) -> None:
        """Show the folders in this one; in an open one, go to the first of them."""
        node = self.cursor_node
        if node is None or node.data is None:
            return
        if node.is_expanded:
            self.action_cursor_down()
        else:
            node.expand()

    def action_close_folder(self) -> None:
        """Close this one; from a closed one, go to the folder it is in."""
        node = self.cursor_node
        if node is None:
            return
        if node.is_expanded:
            node.collapse()
        elif node.parent is not None:
            self.move_cursor(node.parent)

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Path]) -> None:
        event.stop()
        node = event.node
        if node not in self._listed and node.data is not None:
            self._listed.add(node)
            self._list(node, node.data)

    @work(exit_on_error=False)
    async def _list(self, node: TreeNode[Path], folder: Path) -> None:
        try:
            names, complete = await asyncio.to_thread(folders_in, folder)
        except OSError as error:
            node.add_leaf(Text(f"cannot be listed: {escaped(error.strerror or type(error).__name__)}"))
            return
        for name in names:
            node.add(Text(escaped(name)), folder / name)
        if not names:
            node.add_leaf(Text("(no folders in here)"))
        elif not complete:
            node.add_leaf(Text("(there are more: type the path)"))


def folders_in(folder: Path) -> tuple[list[str], bool]:
    """The names of the folders in `folder`, hidden ones aside, and whether these are all.

    Raises OSError.  Blocks for the disk.
    """
    with os.scandir(folder) as entries:
        looked = list(islice(entries, MAX_ENTRIES))
        complete = next(entries, None) is None
    names = sorted(entry.name for entry in looked if not entry.name.startswith(".") and entry.is_dir())
    return names[:MAX_FOLDERS], complete and len(names) <= MAX_FOLDERS
