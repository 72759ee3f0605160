"""A service with the small real model on a library of a few short documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from listening import Ear

from beyondrag.service.service import EngineService
from beyondrag.settings import Settings
from beyondrag.turn import AskOptions
from library.store import Library

BRIEF = AskOptions(max_tokens=16, check=False)
HARBOUR = "Harbour report\n\nThe keeper at Skerry Point was 48 years old.\nThe lamp is lit at dusk.\n"
BAKERY = "Bakery report\n\nThe oven of Mill Lane was built in 1921.\nIt burns beech wood.\n"
QUESTION = "How old was the keeper at Skerry Point?"


def long_text(n_lines: int, subject: str = "Fern Hill") -> str:
    """About 22 tokens a line, each line different."""
    return f"School log of {subject}\n\n" + "".join(
        f"On day {number} the bell of {subject} rang {number % 7 + 3} times before noon.\n"
        for number in range(n_lines)
    )


@dataclass
class RealRoom:
    """A running service, who listens, and where its documents lie."""

    service: EngineService
    ear: Ear
    documents: Path
    settings: Settings
    written: list[Path] = field(default_factory=list)

    def write(self, name: str, text: str) -> Path:
        path = self.documents / name
        path.write_text(text)
        self.written.append(path)
        return path

    def snapshot(self, name: str) -> Path:
        """The file of the (only) snapshot of the document in the file `name`."""
        with Library.open(self.settings.library) as library:
            document = library.find(name)
            (record,) = library.snapshots(document.id)
            return record.path
