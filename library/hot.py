"""Hot copies: small-coded snapshots that were read recently, once more in a codec that attaches faster.

    hot/<sha256>.kv     a copy of the snapshot file with this hash
    hot/reads           one letter for each read: h found its copy, m did not
    hot/lock            who adds or evicts at this moment

A copy is named by the content hash of the file it was made from, and that file names document, volume and
profile: a snapshot that was replaced never meets the copy of the one before.  Copies may vanish at any
moment; readers need no lock and fall back to the snapshot.  A copy's modification time is its stamp
(library.hot_policy), set when it is read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from kvfiles.container import Container
from kvfiles.errors import SnapshotError, StorageError
from library.files import regular_size, storage_errors
from library.hot_policy import HotCopy, next_stamp, to_evict
from library.kvstore import KvStore, Leftover, discard_file
from library.lock import WriterLock
from library.paths import private_directory
from library.wording import one_line

COPY_OF = "copy_of"
"""The key under which a copy's header (`about`) names the content hash of the file it was made from."""

_READS_NAME, _LOCK_NAME = "reads", "lock"
_MAX_READS = 1 << 16
_LOCK_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class HotTotals:
    """How many copies there are and what they take; of the last 65,536 reads at most, how many found one."""

    n_copies: int = 0
    size_bytes: int = 0
    n_hits: int = 0
    n_misses: int = 0


class HotCopies:
    """The hot copies of one library, in the folder `root`, which is made with the first of them.

    `refers_to` says whether a row of the catalogue refers to the snapshot file with this hash.  Any number
    of processes may use the folder at once.
    """

    def __init__(self, root: Path, refers_to: Callable[[str], bool]) -> None:
        self.root = root
        self._refers_to = refers_to
        self._lock = WriterLock(root / _LOCK_NAME)

    def path(self, content: str) -> Path:
        """Where the copy of the snapshot file with this hash is, or would be."""
        return self.root / f"{content}.kv"

    def find(self, content: str) -> HotCopy | None:
        """The copy of this snapshot file, if there is one."""
        try:
            status = self.path(content).lstat()
        except OSError:
            return None
        return HotCopy(content, status.st_size, status.st_mtime_ns) if S_ISREG(status.st_mode) else None

    def copies(self) -> list[HotCopy]:
        """All copies, in no order."""
        found = (self.find(name.removesuffix(".kv")) for name in self._names() if KvStore.is_own(Path(name)))
        return [copy for copy in found if copy is not None]

    def foreign(self) -> Iterator[Path]:
        """What lies in the folder and is not the library's."""
        for name in sorted(self._names()):
            if name not in (_READS_NAME, _LOCK_NAME) and not KvStore.is_own(Path(name)):
                yield self.root / name

    def totals(self) -> HotTotals:
        """Counts and bytes."""
        copies = self.copies()
        reads = b""
        with suppress(OSError), (self.root / _READS_NAME).open("rb") as file:
            reads = file.read(2 * _MAX_READS)
        size = sum(copy.size_bytes for copy in copies)
        return HotTotals(len(copies), size, reads.count(b"h"), reads.count(b"m"))

    def note_reads(self, hits: Collection[str], n_misses: int) -> None:
        """Note that these copies were read now, and how many reads found none.

        What cannot be noted is left: it concerns the order of eviction alone.
        """
        copies = self.copies() if hits else []
        stamp = next_stamp(time.time_ns(), copies)
        for content in hits:
            with suppress(OSError):
                os.utime(self.path(content), ns=(stamp, stamp), follow_symlinks=False)
        with suppress(OSError, StorageError):
            self._count(b"h" * len(hits) + b"m" * n_misses)

    def fits(self, size_bytes: int, bound_bytes: int, spared: Collection[str] = ()) -> bool:
        """Whether `keep` would find room for a copy of this size now."""
        return to_evict(self.copies(), bound_bytes, size_bytes, spared) is not None

    def keep(self, file: Path, content: str, bound_bytes: int, spared: Collection[str] = ()) -> bool:
        """Take over `file`, on the library's file system, as the copy of a snapshot file; evict for it.

        Returns whether the copy is there now: not when it is larger than what `bound_bytes` and the copies
        of `spared` leave, and not when the snapshot has gone meanwhile.  `file` is gone in any case.
        All copies together never take more than `bound_bytes`.

        Raises:
            StorageError: it cannot be moved.
            LibraryLocked: another process evicts and does not finish.
        """
        try:
            size = regular_size(file)
            if size is None:
                raise StorageError("it is not a regular file", subject=str(file))
            private_directory(self.root)
            with self._lock.hold(_LOCK_WAIT_S), storage_errors(self.root):
                copies = self.copies()
                if all(copy.content != content for copy in copies):  # another process may have been quicker
                    going = to_evict(copies, bound_bytes, size, spared)
                    if going is None:
                        return False
                    self._remove(going)
                    stamp = next_stamp(time.time_ns(), copies)
                    os.utime(file, ns=(stamp, stamp))
                    file.replace(self.path(content))
        finally:
            with suppress(OSError):
                file.unlink(missing_ok=True)
        # Who drops a snapshot drops its row first and its copy then, and we look the other way round:
        # one of both sees what the other did, without a lock between them.
        if not self._refers_to(content):
            self.discard(content)
            return False
        return True

    def shrink(self, bound_bytes: int) -> list[Leftover]:
        """Evict until the copies take at most `bound_bytes`; 0 removes all.  Returns what went.

        Raises StorageError and LibraryLocked as `keep`.
        """
        if not to_evict(self.copies(), bound_bytes):
            return []
        with self._lock.hold(_LOCK_WAIT_S), storage_errors(self.root):
            return self._remove(to_evict(self.copies(), bound_bytes) or ())

    def discard(self, content: str) -> None:
        """Remove the copy of this snapshot file, if there is one."""
        with storage_errors(self.root), suppress(NotADirectoryError):
            self.path(content).unlink(missing_ok=True)

    def sweep(self, *, keep: bool = False) -> list[Leftover]:
        """Remove the copies of snapshots that are gone; returns them.  With `keep` they are only named."""
        strays = [copy for copy in self.copies() if not self._refers_to(copy.content)]
        with storage_errors(self.root):
            return self._remove(strays, keep=keep)

    def problem(self, content: str) -> str:
        """What is wrong with this copy, as the end of a sentence; reads all of it.

        "" when all is well, and when it has gone meanwhile.  Raises StorageError.
        """
        path = self.path(content)
        try:
            with Container(path) as container:
                container.verify()
                about = container.meta.get("about")
        except SnapshotError as error:
            return f"is damaged, {one_line(error.message)}"
        except StorageError:
            if self.find(content) is None:
                return ""
            raise
        if not isinstance(about, dict) or about.get(COPY_OF) != content:
            return "was made from another file"
        return ""

    def _names(self) -> list[str]:
        with storage_errors(self.root):
            try:
                return [path.name for path in self.root.iterdir()]
            except (FileNotFoundError, NotADirectoryError):
                return []

    def _remove(self, copies: Iterable[HotCopy], *, keep: bool = False) -> list[Leftover]:
        removed = (discard_file(self.path(copy.content), keep=keep) for copy in copies)
        return [left for left in removed if left is not None]

    def _count(self, letters: bytes) -> None:
        """Append, so that several processes may count at once; begin anew when it has become long."""
        private_directory(self.root)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self.root / _READS_NAME, flags, 0o600)
        try:
            if os.fstat(descriptor).st_size >= _MAX_READS:
                os.ftruncate(descriptor, 0)
            os.write(descriptor, letters)
        finally:
            os.close(descriptor)
