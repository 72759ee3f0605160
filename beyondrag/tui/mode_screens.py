"""The screens of the areas: made when the app starts, mounted when first shown."""

from __future__ import annotations

from collections.abc import Mapping

from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.screens.ask import AskScreen
from beyondrag.tui.screens.compare import CompareScreen
from beyondrag.tui.screens.history import HistoryScreen
from beyondrag.tui.screens.ingest import IngestScreen
from beyondrag.tui.screens.library import LibraryScreen


def mode_screens() -> Mapping[str, NoticeScreen[None]]:
    """A new screen for every mode, by its name."""
    return {
        "ask": AskScreen(),
        "library": LibraryScreen(),
        "ingest": IngestScreen(),
        "history": HistoryScreen(),
        "compare": CompareScreen(),
    }
