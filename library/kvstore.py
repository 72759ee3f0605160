"""The folder of `.kv` files: named by content, shared by whoever has the same content.

    kv/<first two hex digits>/<sha256>.kv     snapshots
    kv/prefix/<profile id>.kv                 the prefix of each reading profile
    kv/scratch/<pid>-<random>.kv              being written; never read
    scratch.lock                              who may be writing (see library.presence)

A file gets its name before its row is written and loses its row before it is removed, so a crash
leaves at worst a file that no row knows (swept later), never a row without its file.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from library.errors import LibraryDamaged, LibraryError
from library.files import hash_regular_file, storage_errors, sync_directory
from library.paths import private_directory
from library.presence import Presence
from library.wording import one_line

_CONTENT = re.compile(r"[0-9a-f]{64}")
_CONTENT_NAME = re.compile(r"[0-9a-f]{64}\.kv")
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SCRATCH_NAME = re.compile(r"(\d+)-[0-9a-f]{32}\.kv")
_HALF_WRITTEN = re.compile(r"\.(?:(\d+)-)?.*\.tmp")
"""What `kvfiles.container` writes before it renames; it begins with the name that the file would get."""
_SCRATCH_MIN_AGE_S = 3600.0
_LOCK_NAME = "scratch.lock"


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that nothing refers to, and its size in bytes."""

    path: Path
    size_bytes: int


class KvStore:
    """The files only; which row refers to which file is the catalogue's business."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._scratch = private_directory(root / "scratch")
        self._prefixes = private_directory(root / "prefix")
        self._presence = Presence(root.with_name(_LOCK_NAME))

    def close(self) -> None:
        """No temporary file of this process is in use any more."""
        self._presence.close()

    def path(self, content: str) -> Path:
        """Where the file with this content hash is, or would be.

        Raises:
            LibraryDamaged: it is no content hash (a catalogue that was tampered with).
        """
        if not _CONTENT.fullmatch(content):
            raise LibraryDamaged(
                "a snapshot has no valid file name",
                subject=one_line(content, 64),
                remedy="remove the document with `beyondrag library remove` and ingest it again",
            )
        return self.root / content[:2] / f"{content}.kv"

    def prefix_path(self, profile_id: str) -> Path:
        """Where the prefix snapshot of a profile is, or would be.

        Raises:
            LibraryError: the id is no plain name.
        """
        if not _SAFE_ID.fullmatch(profile_id):
            raise LibraryError("not the id of a reading profile", subject=one_line(profile_id, 64))
        self._presence.announce()  # it may be about to be written
        return self._prefixes / f"{profile_id}.kv"

    def scratch(self) -> Path:
        """A fresh path on the store's file system; nothing is there yet."""
        self._presence.announce()
        return self._scratch / f"{os.getpid()}-{uuid.uuid4().hex}.kv"

    def measure(self, file: Path) -> tuple[str, int]:
        """Flush `file` to the disk; its content hash and size in bytes.

        Raises:
            StorageError: it is missing, unreadable or not a regular file.
        """
        with storage_errors(file):
            return hash_regular_file(file, sync=True)

    def keep(self, file: Path, content: str) -> Path:
        """Move `file`, whose content hash is `content`, to its place; durable when this returns."""
        target = self.path(content)
        private_directory(target.parent)
        with storage_errors(target):
            try:
                file.replace(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                near = self.scratch()
                shutil.copyfile(file, near, follow_symlinks=False)
                if self.measure(near)[0] != content:
                    near.unlink()
                    raise OSError(errno.EIO, "the copy differs from the file") from error
                near.replace(target)
                file.unlink()
            sync_directory(target.parent)
            sync_directory(self.root)
        return target

    def discard(self, content: str) -> None:
        """Remove the file with this content hash, if it is there."""
        with storage_errors(self.root):
            self.path(content).unlink(missing_ok=True)

    def folders(self) -> list[str]:
        """The names of the content folders, sorted: what is in one begins with its name."""
        own = (self._scratch, self._prefixes)
        with storage_errors(self.root):
            return sorted(entry.name for entry in self.root.iterdir() if entry not in own)

    def orphans(self, folder: str, known: Collection[str]) -> Iterator[Path]:
        """Everything in a content folder that is not a file named in `known`; the folder itself when it
        is none."""
        path = self.root / folder
        if path.is_symlink() or not path.is_dir():
            yield path
            return
        for file in sorted(path.iterdir()):
            named = _CONTENT_NAME.fullmatch(file.name) and file.name.startswith(folder)
            if not named or file.stem not in known:
                yield file

    @staticmethod
    def is_own(path: Path) -> bool:
        """Whether this store gave a file in a content folder its name; others are foreign and kept."""
        return bool(_CONTENT_NAME.fullmatch(path.name))

    def prefix_files(self) -> Iterator[tuple[str, Path]]:
        """Profile id and path of every prefix snapshot."""
        with storage_errors(self._prefixes):
            files = sorted(self._prefixes.iterdir())
        yield from ((file.stem, file) for file in files if file.suffix == ".kv")

    def discard_temporary(self, *, keep: bool = False) -> list[Leftover]:
        """Remove the temporary files that nobody writes any more; returns them.

        All of them when no other program uses the store; else those of dead processes that have been
        there for an hour.  With `keep` they are only named.
        """
        with self._presence.alone() as alone, storage_errors(self.root):
            doomed = [
                path
                for folder in (self._scratch, self._prefixes)
                for path in sorted(folder.iterdir())
                if _is_temporary(path) and (alone or _abandoned(path))
            ]
            return [gone for path in doomed if (gone := discard_file(path, keep=keep))]


def discard_file(path: Path, *, keep: bool = False) -> Leftover | None:
    """Remove a file (with `keep` only look at it); None when it is not there or is a folder."""
    try:
        size = path.lstat().st_size
        if not keep:
            path.unlink()
    except (FileNotFoundError, IsADirectoryError):
        return None
    return Leftover(path, size)


def _is_temporary(path: Path) -> bool:
    if path.suffix == ".kv" and path.parent.name == "prefix":
        return False
    return bool(_SCRATCH_NAME.fullmatch(path.name) or _HALF_WRITTEN.fullmatch(path.name))


def _abandoned(path: Path) -> bool:
    """Whether a temporary file's process is surely dead.  The age guards against reused process numbers
    and against processes of another host that share the folder."""
    match = _SCRATCH_NAME.fullmatch(path.name) or _HALF_WRITTEN.fullmatch(path.name)
    try:
        if match is None or time.time() - path.lstat().st_mtime < _SCRATCH_MIN_AGE_S:
            return False
        if match[1] is not None:
            os.kill(int(match[1]), 0)
            return False
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return True
