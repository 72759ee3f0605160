"""A program that parses and reads side by side with a pretended model, and says what it has kept.

    python reading_victim.py KIND LIBRARY FOLDER

KIND is "ingest" or "watch" (the commands) or "app" (the service).  A line "kept DOCUMENT VOLUME" comes when
the snapshot of a volume is in the library, "end" when all is done.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pretend_reading import PretendEngine, PretendModel
from small_kv import PROFILE

from beyondrag import cli
from beyondrag.engine_reading import EngineReading
from beyondrag.service.notices import Ingested, IngestFailed
from beyondrag.service.seat import SeatFacts
from beyondrag.service.service import EngineService
from beyondrag.settings import Settings
from ingest.pipeline import PendingVolume
from library.records import SnapshotRecord
from library.store import Library


class Telling(PretendModel):
    def read_volume(
        self, library: Library, pending: PendingVolume, *args: Any, **options: Any
    ) -> SnapshotRecord:
        record = super().read_volume(library, pending, *args, **options)
        print("kept", pending.document.id, pending.volume.ordinal, flush=True)
        return record


class Seat:
    """As much of a seat as reading needs, on a library object of its own."""

    facts = SeatFacts("pretended", "exact", 4096, 1, 0.0, PROFILE.id)

    def __init__(self, settings: Settings, model: PretendModel) -> None:
        self._library = Library.open(settings.library)
        self._library.put_profile(PROFILE)
        engine: Any = PretendEngine(model)
        self.reading = EngineReading(self._library, PROFILE.id, lambda: engine)

    def require_library(self) -> None:
        """It is never taken away here."""

    def context_tokens(self) -> int:
        return 0

    def close(self) -> None:
        self._library.close()


def app(library: Path, folder: Path, model: PretendModel) -> bool:
    settings = Settings(library, library / "none", "pretended", 4096, 1, "k4v4", "f16")
    Library.create_or_open(library).close()
    ended = threading.Event()
    results: list[object] = []

    def listen(notice: object) -> None:
        if isinstance(notice, Ingested | IngestFailed):
            results.append(notice)
            ended.set()

    open_seat: Callable[[Settings], Any] = lambda settings: Seat(settings, model)  # noqa: E731  (typed)
    service = EngineService(settings, open_seat=open_seat)
    service.start(listen)
    service.ingest([folder])
    ended.wait()
    service.close()
    return isinstance(results[0], Ingested)


def main() -> int:
    kind, library, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    model = Telling()
    model.install(setattr)
    if kind == "app":
        code = 0 if app(library, folder, model) else 1
    else:
        options = ["--once"] if kind == "watch" else ["--yes", "--wait", "60"]
        code = cli.main([kind, str(folder), "--json", "--library", str(library), *options])
    print("end", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
