"""What an engine lends to those who answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from beyondrag.events import ReadingDocument
from beyondrag.hot_cache import HotCache
from beyondrag.prompt import PromptFrame
from ingest.reader import Reader
from kvfiles.codecs import TablesSource
from kvfiles.compose import Composer
from kvfiles.kernels import Kernels
from kvfiles.runtime import Context, Model
from kvfiles.runtime.model import Tokens
from kvfiles.snapshot import Snapshot
from library.records import ReadingProfile
from library.store import Library


@dataclass(frozen=True, slots=True)
class Desk:
    """One library, one model and its context, and what puts documents into it.  For one thread."""

    library: Library
    model: Model
    context: Context
    profile: ReadingProfile
    reader: Reader
    composer: Composer
    kernels: Kernels
    frame: PromptFrame
    prefix: Tokens
    calibrations: TablesSource
    hot: HotCache
    on_reading: Callable[[ReadingDocument], None] | None = None
    """Told between the slices of a document that is read for a question."""

    def open(self, path: Path) -> Snapshot:
        """A `.kv` file that fits this model and prompt.

        Raises SnapshotError, CalibrationError (both about `path`), StorageError.
        """
        snapshot = Snapshot(path, self.kernels, self.calibrations)
        try:
            rope = self.model.rope.describe()
            snapshot.require(profile=self.profile.id, shape=self.model.shape, rope=rope)
        except BaseException:
            snapshot.close()
            raise
        return snapshot
