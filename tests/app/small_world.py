"""A library that was read, and what it was read from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from beyondrag.settings import Settings
from library.store import Library

TEXTS = {
    "harbour.txt": "Harbour report\n\nThe keeper at Skerry Point was 48 years old.\nThe lamp is lit.\n",
    "bakery.txt": "Bakery report\n\nThe oven of Mill Lane was built in 1921.\nIt burns beech wood.\n",
}


@dataclass(frozen=True)
class World:
    """A library with its documents, and the small model to open it with."""

    settings: Settings
    documents: Path

    def library(self) -> Library:
        return Library.open(self.settings.library)

    def with_(self, **changes: Any) -> World:
        return replace(self, settings=replace(self.settings, **changes))
