"""Where calibrations are kept: beside the models, one current file for each, older ones under their id.

`<models>/<stem of the model file>.archive-tables` is what new archives are coded with.  Calibrating again
moves the one before to `<stem>.<first 16 digits of its id>.archive-tables`, because snapshots that were
coded with it name it and can be read with nothing else.  What came with an imported library is
`imported.<first 16 digits>.archive-tables`.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from beyondrag.models.disk import make_folder, storage_errors
from kvfiles.codecs import TablesSource
from kvfiles.codecs.archive.tables import ArchiveTables, load_tables, missing, save_tables
from kvfiles.container import Container
from kvfiles.errors import BeyondragError, CalibrationCorrupt, CalibrationError, CalibrationMissing
from library.wording import one_line

MAX_HELD = 2

SUFFIX = ".archive-tables"
_ID_DIGITS = 16
_IMPORTED = "imported"

Status = Literal["ok", "foreign", "damaged"]


@dataclass(frozen=True, slots=True)
class CalibrationFacts:
    """What a model's current file says of itself, without reading all of it.

    ok: made for these bytes of the model; foreign: for others; damaged: `why` says what is wrong, and
    `tables_id` and `n_tokens` mean nothing.
    """

    path: Path
    status: Status
    size_bytes: int
    tables_id: str = ""
    n_tokens: int = 0
    why: str = ""


class CalibrationStore:
    """The calibrations in the models folder `root`; a `tables.TablesSource` and a
    `library.calibrations.CalibrationShelf`.  Reading creates nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, model: Path) -> Path:
        """Where the current calibration of the model file `model` is or would be."""
        return self.root / f"{model.stem}{SUFFIX}"

    def find(self, tables_id: str) -> ArchiveTables:
        """The tables of this id, of whatever model.

        Raises CalibrationMissing, CalibrationCorrupt or StorageError.
        """
        error: BeyondragError = missing(tables_id)
        for path in self._files():
            if _stored_id(path) == tables_id:
                try:
                    return load_tables(path)
                except CalibrationError as damaged:  # another file may hold them, too
                    error = damaged
        raise error

    def file_of(self, calibration_id: str) -> Path | None:
        """A file whose header says that it is these tables; None when there is none.  Raises StorageError."""
        return next((path for path in self._files() if _stored_id(path) == calibration_id), None)

    def adopt(self, file: Path) -> str:
        """Keep tables that came from elsewhere, unless they are here; returns their id.

        Only what names them is read with them: no model is coded with what came from elsewhere.
        Raises CalibrationCorrupt or StorageError.
        """
        tables = load_tables(file)
        try:
            self.find(tables.id)
        except CalibrationError:
            make_folder(self.root)
            save_tables(self.root / f"{_IMPORTED}.{tables.id[:_ID_DIGITS]}{SUFFIX}", tables)
        return tables.id

    def of_model(self, model: Path, sha256: str) -> ArchiveTables:
        """The current tables of the model file `model`, whose SHA-256 is `sha256`.

        Raises CalibrationMissing, CalibrationCorrupt (damaged, or made for other bytes) or StorageError.
        """
        path = self.path(model)
        name = one_line(model.stem, 100)
        if not os.path.lexists(path):
            raise CalibrationMissing(
                "the model is not calibrated for the archive codec",
                subject=name,
                remedy=f"beyondrag models calibrate {name}",
            )
        try:
            tables = load_tables(path)
        except CalibrationCorrupt as error:
            raise CalibrationCorrupt(
                error.message, subject=str(path), remedy=f"beyondrag models calibrate {name} --force"
            ) from error
        if tables.model != sha256:
            raise CalibrationCorrupt(
                "the calibration was made for another file of this name",
                subject=str(path),
                remedy=f"beyondrag models calibrate {name}",
            )
        return tables

    def describe(self, model: Path, sha256: str | None) -> CalibrationFacts | None:
        """About the current calibration of `model`, None when there is none; any bytes when `sha256` is None.

        Only the header is checked.
        """
        path = self.path(model)
        try:
            size = path.stat().st_size
        except OSError:
            return None
        try:
            with Container(path) as container:
                meta = container.meta
            tables_id, made_for, n_tokens = str(meta["id"]), str(meta["model"]), int(meta["n_tokens"])
        except (BeyondragError, KeyError, TypeError, ValueError) as error:
            why = error.message if isinstance(error, BeyondragError) else "its header makes no sense"
            return CalibrationFacts(path, "damaged", size, why=one_line(why, 200))
        status: Status = "ok" if sha256 is None or made_for == sha256 else "foreign"
        return CalibrationFacts(path, status, size, one_line(tables_id, 64), n_tokens)

    def save(self, model: Path, tables: ArchiveTables) -> int:
        """Make `tables` the current ones of `model`, atomically; returns the file's size in bytes.

        Raises StorageError.
        """
        make_folder(self.root)
        path = self.path(model)
        before = _stored_id(path)
        if before is not None and before != tables.id:
            _keep(path, path.with_name(f"{model.stem}.{before[:_ID_DIGITS]}{SUFFIX}"))
        return save_tables(path, tables)

    def remove(self, model: Path) -> tuple[Path, ...]:
        """Delete every calibration of `model`, older ones too; returns what was deleted.

        Raises StorageError.
        """
        older = re.compile(re.escape(model.stem) + rf"\.[0-9a-f]{{{_ID_DIGITS}}}" + re.escape(SUFFIX))
        current = self.path(model)
        found = tuple(path for path in self._files() if path == current or older.fullmatch(path.name))
        for path in found:
            with storage_errors(path):
                path.unlink(missing_ok=True)
        return found

    def _files(self) -> list[Path]:
        with storage_errors(self.root):
            try:
                return sorted(path for path in self.root.iterdir() if path.name.endswith(SUFFIX))
            except FileNotFoundError:
                return []


class HeldTables:
    """A `TablesSource` that keeps the last MAX_HELD tables of another: some 20 MB that take 0.1 s to read.

    For one thread.
    """

    def __init__(self, source: TablesSource) -> None:
        self._source = source
        self._held: dict[str, ArchiveTables] = {}

    def find(self, tables_id: str) -> ArchiveTables:
        """Raises what the source raises, which is asked again the next time."""
        tables = self._held.get(tables_id) or self._source.find(tables_id)
        self.hold(tables)
        return tables

    def hold(self, tables: ArchiveTables) -> None:
        """Keep them as if they had just been found."""
        self._held.pop(tables.id, None)
        while len(self._held) >= MAX_HELD:
            del self._held[next(iter(self._held))]
        self._held[tables.id] = tables


def _keep(path: Path, older: Path) -> None:
    """Give the file a second name, by which it stays when the first one is given to another."""
    with storage_errors(older):
        try:
            os.link(path, older)
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            shutil.copyfile(path, older)


def _stored_id(path: Path) -> str | None:
    """The id that a file's header names; None when it can be none."""
    try:
        with Container(path) as container:
            found = container.meta.get("id")
    except BeyondragError:
        return None
    is_id = isinstance(found, str) and re.fullmatch("[0-9a-f]{64}", found) is not None
    return found if is_id else None
