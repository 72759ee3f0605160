"""What a library is made of, for the modules of this room that look after the whole of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from library.catalogue import Catalogue
from library.documents import Documents
from library.failures import Failures
from library.hot import HotCopies
from library.indexing import Indexing
from library.kvstore import KvStore
from library.lock import WriterLock
from library.readings import Readings
from library.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class Parts:
    """One open library taken apart; it belongs to the `Library` that gave it and closes with it."""

    root: Path
    lock: WriterLock
    catalogue: Catalogue
    documents: Documents
    failures: Failures
    readings: Readings
    files: KvStore
    snapshots: Snapshots
    hot: HotCopies
    indexing: Indexing
