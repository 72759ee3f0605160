"""What can be wrong with a library, and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Harm(StrEnum):
    """The kinds of findings, named for programs."""

    CATALOGUE = "catalogue"
    """SQLite's own file is damaged."""
    REFERENCE = "reference"
    """A row refers to a row that does not exist."""
    TEXT = "text"
    """The text of a document cannot be read.  Subject: its id."""
    LENGTH = "length"
    """The text has another length than the catalogue notes.  Subject: the document's id."""
    SOURCE = "source"
    """A document belongs to no file.  Subject: its id."""
    QUEUE = "queue"
    """The search index has not learned everything yet."""
    INDEX = "index"
    """The search index is damaged or differs from the catalogue."""
    SNAPSHOT = "snapshot"
    """A snapshot is missing or damaged.  Subject: the content hash of its file."""
    PREFIX = "prefix"
    """A prefix snapshot is damaged.  Subject: the id of its profile."""
    CALIBRATION = "calibration"
    """The calibration that a snapshot was coded with is not here.  Subject: the snapshot's content hash."""
    HOT = "hot"
    """A hot copy is damaged; nothing is lost with it.  Subject: the content hash of its snapshot."""
    ORPHAN = "orphan"
    """A snapshot file that no row refers to.  Subject: its path."""
    FOREIGN = "foreign"
    """A file that is not the library's.  Subject: its path."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong: `text` is one plain sentence, `subject` what `harm` says."""

    harm: Harm
    text: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found.  `deep` says whether contents were read and compared with their checksums."""

    n_documents: int
    n_snapshots: int
    deep: bool
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        return not self.findings


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair found, what it did about it (plain sentences), and what is still wrong.

    `again` are the absolute paths of files whose documents were dropped, to be ingested again.
    """

    found: tuple[Finding, ...]
    done: tuple[str, ...]
    again: tuple[str, ...]
    left: tuple[Finding, ...]
