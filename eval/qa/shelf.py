"""One library for each set, made by the product's own ingest and kept for later runs.

::

    WORK/sets/<name>-<hash>/library/       documents, index, snapshots of all codecs and models
    WORK/sets/<name>-<hash>/costs.jsonl    what was spent on it: one line for each stretch of work
    WORK/sets/<name>-<hash>/dense-*.npy    vectors of chunks
    WORK/runs/<name>.jsonl                 answers (see eval.qa.rows)
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import platformdirs

from beyondrag.engine import Engine
from eval.qa.filenames import FileNames
from eval.qa.recoding import coded_from_exact
from eval.rowfile import RowFile, read_rows
from eval.sets import QuestionSet, SetError
from ingest.indexing import FileOutcome, index
from ingest.pipeline import PendingVolume, pending_volumes, read_volume
from ingest.scan import scan
from kvfiles.errors import Cancelled
from library.store import Library

PARSED = "parsed"
READ = "read"
CHUNKED = "chunked"

Report = Callable[[str, float, float], None]
"""What is under way, units done, units in all."""


def default_work() -> Path:
    """Where libraries and answers are kept between runs: the user's cache folder."""
    return platformdirs.user_cache_path("beyondrag", appauthor=False) / "eval"


@dataclass(frozen=True, slots=True)
class Cost:
    """Work on a set: `what` is PARSED, READ (under `profile`) or CHUNKED (for search `profile`).

    `at`: when it was noted, in seconds since the epoch; 0 in files from before this was kept.
    """

    what: str
    profile: str
    seconds: float
    tokens: int
    at: float = 0.0

    @property
    def key(self) -> str:
        """Every piece of work has its own."""
        return hashlib.sha256(orjson.dumps(self.to_json(), option=orjson.OPT_SORT_KEYS)).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _parse_cost(value: Any) -> Cost:
    """Raises ValueError, TypeError or KeyError."""
    seconds, tokens, at = float(value["seconds"]), int(value["tokens"]), float(value.get("at", 0.0))
    return Cost(str(value["what"]), str(value["profile"]), seconds, tokens, at)


@dataclass(frozen=True, slots=True)
class IngestCost:
    """What the snapshots of a set cost: `seconds` were measured while `tokens` were read, of `all_tokens`
    that the set has.  `bytes` are those of the snapshots there now."""

    seconds: float
    tokens: int
    all_tokens: int
    parse_seconds: float
    bytes: int

    @property
    def whole_seconds(self) -> float:
        """Seconds to parse and read the whole set; at the measured rate where only a part was read."""
        rate = self.seconds / self.tokens if self.tokens else 0.0
        return self.parse_seconds + rate * max(self.all_tokens, self.tokens)


class Shelf:
    """The library of one set and what belongs to it."""

    def __init__(self, work: Path, question_set: QuestionSet) -> None:
        self._set = question_set
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", question_set.name)[:60]
        place = hashlib.sha256(str(question_set.folder).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        self.folder = work / "sets" / f"{name}-{place}"
        self.runs = work / "runs" / f"{name}.jsonl"
        self._costs = self.folder / "costs.jsonl"

    @property
    def library_root(self) -> Path:
        return self.folder / "library"

    @contextmanager
    def library(
        self, on_file: Callable[[FileOutcome, int, int], None], cancelled: Callable[[], bool]
    ) -> Iterator[Library]:
        """The set's library, brought up to date with its documents: parsed and indexed, not yet read.

        Raises PathProblem, LibraryError, StorageError, Cancelled.
        """
        with Library.create_or_open(self.library_root) as library:
            started, before = time.perf_counter(), library.count()
            with library.writing(wait_s=5.0):
                self._index(library, on_file, cancelled)
            if library.count() != before:
                self._note(Cost(PARSED, "", time.perf_counter() - started, 0))
            yield library

    def _index(
        self,
        library: Library,
        on_file: Callable[[FileOutcome, int, int], None],
        cancelled: Callable[[], bool],
    ) -> None:
        """Bring `library` up to date with the documents of the set that are not hidden."""
        folder = self._set.documents
        if not self._set.hidden:
            index(library, [folder], prune=True, on_file=on_file, cancelled=cancelled)
            return
        named = FileNames(str(file.path) for file in scan([folder]).files)
        hidden = {path for name in self._set.hidden for path in named.find(name, subject="hidden")}
        shown = [path for path in named.paths if path not in hidden]
        if not shown:
            raise SetError("every document is hidden", subject=self._set.name)
        index(library, [Path(path) for path in shown], on_file=on_file, cancelled=cancelled)
        for source, _ in library.sources():
            if source.path not in shown:
                library.mark_missing(source.path)
        library.prune_missing()

    def read(
        self,
        engine: Engine,
        document_ids: Iterable[str],
        report: Report,
        cancelled: Callable[[], bool],
    ) -> None:
        """Read the documents that have no snapshot yet; each finished one is kept.

        What has an exact snapshot is coded from that and not noted as read.  Raises Cancelled, model and
        storage errors.
        """
        engine.prepare()
        library, profile = engine.library, engine.profile
        pending = self._left_to_read(
            engine, pending_volumes(library, document_ids, profile, engine.reader), report, cancelled
        )
        total = sum(item.volume.n_tokens for item in pending)
        done, seconds = 0, 0.0
        try:
            for item in pending:
                if cancelled():
                    raise Cancelled("stopped")

                def on_slice(n: int, name: str = item.document.name, before: int = done) -> None:
                    report(name, before + n, total)

                on_slice(0)
                started = time.perf_counter()
                record = read_volume(
                    library,
                    item,
                    profile,
                    engine.reader,
                    on_slice=on_slice,
                    cancelled=cancelled,
                )
                seconds += time.perf_counter() - started
                done += record.n_tokens
        finally:
            if done:
                self._note(Cost(READ, profile.id, seconds, done))

    @staticmethod
    def _left_to_read(
        engine: Engine, pending: list[PendingVolume], report: Report, cancelled: Callable[[], bool]
    ) -> list[PendingVolume]:
        """Those of `pending` that cannot be coded from exact snapshots; the others are, here."""
        total, done, left = sum(item.volume.n_tokens for item in pending), 0, []
        with ThreadPoolExecutor(engine.settings.threads) as pool:
            for item in pending:
                if cancelled():
                    raise Cancelled("stopped")
                report(item.document.name, done, total)
                if coded_from_exact(engine, item, pool) is None:
                    left.append(item)
                done += item.volume.n_tokens
        return left

    def note_chunked(self, search: str, seconds: float, tokens: int) -> None:
        """Note what cutting and indexing chunks has cost."""
        self._note(Cost(CHUNKED, search, seconds, tokens))

    def ingest_cost(self, engine: Engine) -> IngestCost:
        """The cost under the engine's profile, over all runs."""
        costs = self._read_costs()
        read = [cost for cost in costs if cost.what == READ and cost.profile == engine.profile.id]
        library = engine.library
        documents = [document.id for document in library.documents()]
        volumes = [v for d in documents for v in library.volumes(d, engine.profile.id)]
        known = sum(volume.n_tokens for volume in volumes)
        if len({v.document_id for v in volumes}) < len(documents):  # cut and count the others, read nothing
            known += sum(v.volume.n_tokens for v in self._uncut(engine, documents))
        snapshots = [s for s in library.snapshots() if s.profile_id == engine.profile.id]
        return IngestCost(
            seconds=sum(cost.seconds for cost in read),
            tokens=sum(cost.tokens for cost in read),
            all_tokens=known,
            parse_seconds=max((cost.seconds for cost in costs if cost.what == PARSED), default=0.0),
            bytes=sum(snapshot.size_bytes for snapshot in snapshots),
        )

    def chunk_seconds(self, search: str) -> float:
        """What making chunks and index for this search took, when it was made last; 0 when not known."""
        found = [c.seconds for c in self._read_costs() if c.what == CHUNKED and c.profile == search]
        return found[-1] if found else 0.0

    def fingerprint(self, library: Library) -> str:
        """A hash of the documents: answers depend on all of them."""
        ids = sorted(document.id for document in library.documents())
        return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:32]

    @staticmethod
    def _uncut(engine: Engine, documents: list[str]) -> Iterator[PendingVolume]:
        without = [d for d in documents if not engine.library.volumes(d, engine.profile.id)]
        yield from pending_volumes(engine.library, without, engine.profile, engine.reader)

    def _note(self, cost: Cost) -> None:
        with RowFile(self._costs, _parse_cost) as file:
            file.add(replace(cost, at=time.time()))

    def _read_costs(self) -> list[Cost]:
        return read_rows(self._costs, _parse_cost) if self._costs.exists() else []
