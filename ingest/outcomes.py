"""What came of each file and of each member of a container, and of a run as a whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ingest.errors import ParseFailure
from ingest.sandbox import ParsedFile
from ingest.scan import ScannedFile, ScanResult

MAX_MEMBER_PROBLEMS = 1_000


class FileState(Enum):
    """What a scan found out about a file."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    COPY = "copy"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """One file: its state, the document it holds (None after a failure) and what went wrong.

    A file that holds many documents (a mailbox) has no `document_id` of its own; its members have each an
    outcome, with the path of the file in `container`, before its own.
    """

    path: Path
    state: FileState
    document_id: str | None
    title: str = ""
    failure: ParseFailure | None = None
    warnings: tuple[str, ...] = ()
    container: Path | None = None


@dataclass(frozen=True, slots=True)
class ParsedOutcome:
    """A `FileOutcome` with the file as it was scanned (of a member: its container), and as parsed if it was.

    `tried` is False when the outcome follows from what the library knows: nothing was opened.
    `is_container` tells the outcome of a container as a whole, after those of its members.
    """

    file: ScannedFile
    outcome: FileOutcome
    parsed: ParsedFile | None = None
    tried: bool = True
    is_container: bool = False


@dataclass(slots=True)
class Tally:
    """Counts outcomes of files, and of members of containers, by state; keeps those with something to say."""

    files: Counter[FileState] = field(default_factory=Counter)
    members: Counter[FileState] = field(default_factory=Counter)
    member_problems: list[FileOutcome] = field(default_factory=list)

    def add(self, outcome: FileOutcome) -> None:
        if outcome.container is None:
            self.files[outcome.state] += 1
            return
        self.members[outcome.state] += 1
        if (outcome.failure or outcome.warnings) and len(self.member_problems) < MAX_MEMBER_PROBLEMS:
            self.member_problems.append(outcome)


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What one run of `index` did.

    `outcomes` has one for each file.  Members of containers are only counted, in `members`; of those with
    a failure or warnings the first `MAX_MEMBER_PROBLEMS` are in `member_problems`.  `missing` are known
    files that are gone or now left out by a rule, `n_missing_members` counts messages no longer in their
    mailbox.  `document_ids` are the documents of all readable files, each once, in their order.
    """

    outcomes: tuple[FileOutcome, ...]
    scan: ScanResult
    missing: tuple[str, ...]
    document_ids: tuple[str, ...]
    members: Counter[FileState] = field(default_factory=Counter)
    member_problems: tuple[FileOutcome, ...] = ()
    n_missing_members: int = 0

    def count(self, *states: FileState) -> int:
        """The number of files in one of these states."""
        return sum(outcome.state in states for outcome in self.outcomes)

    @property
    def problems(self) -> tuple[FileOutcome, ...]:
        """Files and members with a failure or with warnings."""
        return (*(o for o in self.outcomes if o.failure or o.warnings), *self.member_problems)
