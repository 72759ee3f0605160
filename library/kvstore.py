"""The folder of `.kv` files: named by content, shared by whoever has the same content.

    kv/<first two hex digits>/<sha256>.kv     snapshots
    kv/prefix/<profile id>.kv                 the prefix of each reading profile
    kv/scratch/<pid>-<random>.kv              being written; never read

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
from pathlib import Path

from library.errors import LibraryDamaged, LibraryError
from library.files import hash_regular_file, storage_errors, sync_directory
from library.paths import private_directory
from library.wording import one_line

_CONTENT = re.compile(r"[0-9a-f]{64}")
_CONTENT_NAME = re.compile(r"[0-9a-f]{64}\.kv")
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SCRATCH_NAME = re.compile(r"(\d+)-[0-9a-f]{32}\.kv")
_SCRATCH_MIN_AGE_S = 3600.0


class KvStore:
    """The files only; which row refers to which file is the catalogue's business."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._scratch = private_directory(root / "scratch")
        self._prefixes = private_directory(root / "prefix")

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
        return self._prefixes / f"{profile_id}.kv"

    def scratch(self) -> Path:
        """A fresh path on the store's file system; nothing is there yet."""
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

    def orphans(self, known: Collection[str]) -> Iterator[Path]:
        """Everything in the content folders that is not a file named in `known`."""
        for entry in sorted(self.root.iterdir()):
            if entry in (self._scratch, self._prefixes):
                continue
            if entry.is_symlink() or not entry.is_dir():
                yield entry
                continue
            for file in sorted(entry.iterdir()):
                named = _CONTENT_NAME.fullmatch(file.name) and file.name.startswith(entry.name)
                if not named or file.stem not in known:
                    yield file

    def sweep(self, known: Collection[str]) -> int:
        """Remove `.kv` files that no row knows and scratch files of dead processes; bytes freed.

        Only names this store makes are touched: a foreign file is reported by `orphans`, and kept.
        """
        doomed = [path for path in self.orphans(known) if _CONTENT_NAME.fullmatch(path.name)]
        doomed += [path for path in self._scratch.iterdir() if _abandoned(path)]
        freed = 0
        with storage_errors(self.root):
            for path in doomed:
                try:
                    size = path.lstat().st_size
                    path.unlink()
                except (FileNotFoundError, IsADirectoryError):
                    continue
                freed += size
        return freed


def _abandoned(path: Path) -> bool:
    """Whether a scratch file's process is dead.  The age guards against reused process numbers
    and against processes of another host that share the folder."""
    match = _SCRATCH_NAME.fullmatch(path.name)
    if not match:
        return False
    try:
        if time.time() - path.lstat().st_mtime < _SCRATCH_MIN_AGE_S:
            return False
        os.kill(int(match[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
