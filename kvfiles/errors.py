"""The root of the one error tree, and the errors of the `.kv` and runtime room.

::

    BeyondragError
    ├── ModelError            the GGUF or llama.cpp side
    │   ├── ModelFileError        not a GGUF, missing, unreadable, truncated
    │   ├── UnsupportedModel      its cache cannot be stored (names the architecture)
    │   ├── DecodeError           llama_decode refused or was aborted
    │   └── CalibrationError      the tables of the archive codec
    │       ├── CalibrationMissing    the model was not calibrated, or not with these tables
    │       └── CalibrationCorrupt    damaged, forged or made for another model
    ├── ContextOverflow       tokens do not fit into the context
    ├── Cancelled             the user stopped it
    ├── SnapshotError         a `.kv` file
    │   ├── SnapshotCorrupt       bad magic, sizes, checksum
    │   ├── SnapshotVersion       written by a newer program
    │   └── SnapshotMismatch      made for another model, prefix or codec
    ├── StorageError          disk full, no permission, failing device
    ├── LibraryError          (library.errors)
    ├── IngestError           (ingest.errors)
    └── AppError              (beyondrag.errors)

Each error says what it is about (`subject`), what is wrong (`message`) and what to do next
(`remedy`).  `exit_code` is what the command line returns for it.
"""

from __future__ import annotations

from typing import ClassVar


class BeyondragError(Exception):
    """Base of every error a user can see; never raised itself."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, subject: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.subject = subject
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.subject}: {self.message}" if self.subject else self.message
        return f"{text} ({self.remedy})" if self.remedy else text


class ModelError(BeyondragError):
    """Something is wrong with the model or with llama.cpp."""

    exit_code = 5


class ModelFileError(ModelError):
    """The model file is missing, unreadable, truncated or not a GGUF."""


class UnsupportedModel(ModelError):
    """The architecture's cache cannot be stored and placed elsewhere; the message names it."""


class DecodeError(ModelError):
    """llama.cpp refused a batch or a state."""


class CalibrationError(ModelError):
    """Something is wrong with the calibration that the archive codec needs."""


class CalibrationMissing(CalibrationError):
    """The tables that a file or a codec names are not there."""


class CalibrationCorrupt(CalibrationError):
    """The tables are damaged, make no sense or belong to another model."""


class ContextOverflow(BeyondragError):
    """More tokens than the context holds."""


class Cancelled(BeyondragError):
    """The user stopped the work; what was finished before is kept."""

    exit_code = 130


class SnapshotError(BeyondragError):
    """Something is wrong with a `.kv` file."""

    exit_code = 6


class SnapshotCorrupt(SnapshotError):
    """Damaged or truncated: magic, sizes or a checksum do not fit."""


class SnapshotVersion(SnapshotError):
    """Written in a format this program does not know."""


class SnapshotMismatch(SnapshotError):
    """Sound, but made for another model, prefix or codec."""


class StorageError(BeyondragError):
    """The file system refused: disk full, no permission, failing device."""

    exit_code = 7
