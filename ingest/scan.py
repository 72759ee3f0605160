"""Finds the files to ingest: folders are walked in a fixed order, nothing is opened.

Left out in silence: hidden files and folders (a leading dot) inside a walked folder.  Left out with a
reason: unsupported kinds, links that lead out of the folder, pipes, sockets and devices, files over the
size limit, folders that cannot be listed.  A path that the user names is taken even when it is
hidden or a link.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import FAILURE_CODES, NothingToIngest, PathProblem, printable
from ingest.parsers import parser_for_suffix, readable_kinds
from ingest.parsers.base import Limits

_MAX_SUFFIXES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A file to be read.

    `path` is absolute, with links as the user wrote them; undecodable bytes of names are kept
    as lone surrogates (PEP 383).  `parser` is the name of the parser that the suffix asks for.
    """

    path: Path
    size: int
    mtime_ns: int
    parser: str


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file or folder left out.

    `code` is "unsupported", "link", "special", "too-large", "no-permission", "vanished" or "broken".
    """

    path: Path
    code: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan found, in the order of the paths given and of names within a folder."""

    files: tuple[ScannedFile, ...]
    skipped: tuple[SkippedFile, ...]

    def require_files(self) -> None:
        """Do nothing when there is a file to read.

        Raises:
            NothingToIngest: there is none; the message counts the suffixes that were seen.
        """
        if self.files:
            return
        readable = readable_kinds()
        if not self.skipped:
            raise NothingToIngest("there are no files", remedy=f"these kinds can be read: {readable}")
        unsupported = Counter(
            file.path.suffix.lower() or "no suffix" for file in self.skipped if file.code == "unsupported"
        )
        if not unsupported:
            first = self.skipped[0]
            raise NothingToIngest(
                "none of the files can be read",
                subject=printable(os.fspath(first.path)),
                remedy=f"{first.reason}: {first.remedy}",
            )
        seen = ", ".join(
            f"{printable(suffix)[:20]} ({count})"
            for suffix, count in unsupported.most_common(_MAX_SUFFIXES_SHOWN)
        )
        more = len(unsupported) - _MAX_SUFFIXES_SHOWN
        raise NothingToIngest(
            f"only files of kinds that cannot be read: {seen}"
            + (f" and {more} more kinds" if more > 0 else ""),
            remedy=f"convert them; these kinds can be read: {readable}",
        )


def scan(paths: Sequence[Path], limits: Limits = Limits()) -> ScanResult:  # noqa: B008  (frozen)
    """List the readable files under `paths` (files and folders).

    A file that is reached twice is listed once.

    Raises:
        PathProblem: one of `paths` does not exist or may not be read.
    """
    walk = _Walk(limits.max_file_bytes)
    for path in paths:
        walk.take_named(os.fspath(path))
    return ScanResult(tuple(walk.files.values()), tuple(walk.skipped.values()))


class _Walk:
    def __init__(self, max_bytes: int) -> None:
        self.files: dict[str, ScannedFile] = {}
        self.skipped: dict[str, SkippedFile] = {}
        self._max_bytes = max_bytes

    def take_named(self, named: str) -> None:
        """A path from the command line: a file, or a folder with all that is in it."""
        if not named or "\0" in named:
            raise PathProblem("this is no path", subject=printable(named), remedy="name a file or a folder")
        path = os.path.abspath(named)  # noqa: PTH100  (Path.resolve would replace links)
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError as error:
            raise _path_problem(path, error) from error
        is_folder = stat.S_ISDIR(status.st_mode)
        if (is_folder or stat.S_ISREG(status.st_mode)) and not os.access(
            path, os.R_OK | (os.X_OK if is_folder else 0)
        ):
            raise _path_problem(path, PermissionError())
        if is_folder:
            self._take_folder(path)
        else:
            self._take(path, status)

    def _take_folder(self, root: str) -> None:
        links: list[tuple[str, str]] = []
        stack = [root]
        while stack:
            folder = stack.pop()
            try:
                with os.scandir(folder) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                self._skip_unlisted(folder, error)
                continue
            subfolders: list[str] = []
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                try:
                    if entry.is_symlink():
                        links.append((entry.path, os.path.realpath(entry.path)))
                    elif entry.is_dir(follow_symlinks=False):
                        subfolders.append(entry.path)
                    else:
                        self._take(entry.path, entry.stat(follow_symlinks=False))
                except OSError as error:
                    self._skip_unlisted(entry.path, error)
            stack.extend(reversed(subfolders))
        self._take_links(os.path.realpath(root), links)

    def _take_links(self, root: str, links: list[tuple[str, str]]) -> None:
        """Links to files inside the folder count when the file is not listed anyway; no others do."""
        listed = {os.path.realpath(path) for path in self.files}
        for path, target in links:
            if os.path.commonpath((root, target)) != root:
                self._skip(
                    path,
                    "link",
                    "a link that leads out of the folder",
                    "name what it points to, to ingest it",
                )
            elif target not in listed:
                try:
                    status = os.stat(target)  # noqa: PTH116
                except OSError:
                    self._skip(path, "link", "a link to nothing", "repair or remove the link")
                    continue
                if stat.S_ISREG(status.st_mode):
                    self._take(path, status)

    def _take(self, path: str, status: os.stat_result) -> None:
        if path in self.files or path in self.skipped:
            return
        if not stat.S_ISREG(status.st_mode):
            self._skip(path, "special", "a pipe, socket or device", "name regular files")
            return
        parser = parser_for_suffix(os.path.splitext(path)[1])  # noqa: PTH122
        if parser is None:
            reason, remedy = FAILURE_CODES["unsupported"]
            self._skip(path, "unsupported", reason, remedy)
        elif status.st_size > self._max_bytes:
            reason, remedy = FAILURE_CODES["too-large"]
            sizes = f"{status.st_size / 1e6:,.0f} MB, the limit is {self._max_bytes / 1e6:,.0f} MB"
            self._skip(path, "too-large", f"{reason} ({sizes})", remedy)
        else:
            self.files[path] = ScannedFile(Path(path), status.st_size, status.st_mtime_ns, parser.name)

    def _skip(self, path: str, code: str, reason: str, remedy: str) -> None:
        self.skipped[path] = SkippedFile(Path(path), code, reason, remedy)

    def _skip_unlisted(self, path: str, error: OSError) -> None:
        if isinstance(error, PermissionError):
            self._skip(
                path, "no-permission", "it may not be listed", "give yourself permission (chmod u+rx FOLDER)"
            )
        elif isinstance(error, FileNotFoundError):
            self._skip(path, "vanished", *FAILURE_CODES["vanished"])
        else:
            self._skip(
                path, "broken", error.strerror or str(error), "move it to a shorter path or check the disk"
            )


def _path_problem(path: str, error: OSError) -> PathProblem:
    if isinstance(error, PermissionError):
        return PathProblem(
            "it may not be read", subject=printable(path), remedy="give yourself permission (chmod u+r PATH)"
        )
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return PathProblem(
            "there is no such file or folder", subject=printable(path), remedy="check the spelling"
        )
    reason = error.strerror or str(error)
    return PathProblem(f"it cannot be opened: {reason}", subject=printable(path), remedy="check the path")
