"""Finds the files to ingest: folders are walked in a fixed order, no document is opened.

Left out by rule (see ingest.ignore) and counted: hidden names, what ignore files name, a short list of
defaults.  Left out with a reason each: unsupported kinds, links that lead out of the folder, pipes,
sockets and devices, files over the size limit, folders that cannot be listed.  A path that the
user names is taken whatever the rules say, even when it is hidden or a link.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingest.errors import FAILURE_CODES, NothingToIngest, PathProblem, printable
from ingest.ignore import DEFAULT, FolderRules, is_cache
from ingest.parsers import is_container, parser_for_suffix, readable_kinds
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
    """What a scan found, in the order of the paths given and of names within a folder.

    `ignored` maps the path of each file and folder that a rule left out to the kind of the rule (see
    `FolderRules.leaves_out`); what is below such a folder was not looked at.  `warnings` name rules that
    could not be applied.
    """

    files: tuple[ScannedFile, ...]
    skipped: tuple[SkippedFile, ...]
    ignored: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def n_ignored(self) -> dict[str, int]:
        """How many files and folders each kind of rule left out; a folder counts once."""
        return dict(sorted(Counter(self.ignored.values()).items()))

    def is_ignored(self, path: str) -> bool:
        """Whether a rule left out this absolute path, or a folder above it."""
        while path not in self.ignored:
            above = os.path.dirname(path)  # noqa: PTH120  (names may hold any bytes)
            if above == path:
                return False
            path = above
        return True

    def require_files(self) -> None:
        """Do nothing when there is a file to read.

        Raises:
            NothingToIngest: there is none; the message counts the suffixes that were seen.
        """
        if self.files:
            return
        readable = readable_kinds()
        if not self.skipped:
            if self.ignored:
                raise NothingToIngest(
                    f"ignore rules leave everything out: {ignored_in_words(self.n_ignored())}",
                    remedy="name the files themselves, or use --no-ignore",
                )
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


def ignored_in_words(counts: Mapping[str, int]) -> str:
    """For a person: "3 hidden, 1 by default, 2 by .gitignore"."""
    return ", ".join(
        f"{n:,} {kind}" if kind == "hidden" else f"{n:,} by {kind}" for kind, n in counts.items()
    )


def scan(
    paths: Sequence[Path],
    limits: Limits = Limits(),  # noqa: B008  (frozen)
    *,
    no_ignore: bool = False,
) -> ScanResult:
    """List the readable files under `paths` (files and folders).

    A file that is reached twice is listed once.  With `no_ignore` no rule leaves anything out.

    Raises:
        PathProblem: one of `paths` does not exist or may not be read.
    """
    walk = _Walk(limits, no_ignore=no_ignore)
    for path in paths:
        walk.take_named(os.fspath(path))
    for taken in walk.files:  # named by itself beside a folder whose rules leave it out
        walk.ignored.pop(taken, None)
    return ScanResult(
        tuple(walk.files.values()), tuple(walk.skipped.values()), walk.ignored, tuple(walk.warnings)
    )


class _Walk:
    def __init__(self, limits: Limits, *, no_ignore: bool) -> None:
        self.files: dict[str, ScannedFile] = {}
        self.skipped: dict[str, SkippedFile] = {}
        self.ignored: dict[str, str] = {}
        self.warnings: list[str] = []
        self._limits = limits
        self._no_ignore = no_ignore
        self._inodes: set[tuple[int, int]] = set()

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
        links: list[str] = []
        stack = [(root, FolderRules())]
        while stack:
            folder, outer = stack.pop()
            try:
                with os.scandir(folder) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                self._skip_unlisted(folder, error)
                continue
            names = {entry.name for entry in entries}
            rules = outer if self._no_ignore else outer.inside(folder, names)
            self.warnings += rules.warnings
            if folder != root and self._is_cache(folder, names, outer):
                self.ignored[folder] = DEFAULT
                continue
            subfolders: list[str] = []
            for entry in entries:
                try:
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if not self._no_ignore:
                        kind = rules.leaves_out(entry.path, entry.name, is_folder=is_folder)
                        if kind is not None:
                            self.ignored[entry.path] = kind
                            continue
                    if is_folder:
                        subfolders.append(entry.path)
                    elif entry.is_symlink():
                        links.append(entry.path)
                    else:
                        self._take(entry.path, entry.stat(follow_symlinks=False))
                except OSError as error:
                    self._skip_unlisted(entry.path, error)
            stack.extend((path, rules) for path in reversed(subfolders))
        if links:
            self._take_links(os.path.realpath(root), links)

    def _is_cache(self, folder: str, names: set[str], outer: FolderRules) -> bool:
        return not self._no_ignore and is_cache(folder, names) and not outer.takes_back(folder)

    def _take_links(self, root: str, links: list[str]) -> None:
        """Links to files inside the folder count when the file is not listed anyway; no others do."""
        for path in links:
            target = os.path.realpath(path)
            if os.path.commonpath((root, target)) != root:
                self._skip(
                    path,
                    "link",
                    "a link that leads out of the folder",
                    "name what it points to, to ingest it",
                )
                continue
            try:
                status = os.stat(target)  # noqa: PTH116
            except OSError:
                self._skip(path, "link", "a link to nothing", "repair or remove the link")
                continue
            if stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in self._inodes:
                self._take(path, status)

    def _take(self, path: str, status: os.stat_result) -> None:
        if path in self.files or path in self.skipped:
            return
        if not stat.S_ISREG(status.st_mode):
            self._skip(
                path,
                "special",
                "a pipe, socket or device",
                "take it out of the folder; only files can be read",
            )
            return
        parser = parser_for_suffix(os.path.splitext(path)[1])  # noqa: PTH122
        if parser is None:
            reason, remedy = FAILURE_CODES["unsupported"]
            self._skip(path, "unsupported", reason, remedy)
            return
        limits = self._limits
        max_bytes = limits.max_container_bytes if is_container(parser.name) else limits.max_file_bytes
        if status.st_size > max_bytes:
            reason, remedy = FAILURE_CODES["too-large"]
            sizes = f"{status.st_size / 1e6:,.0f} MB, the limit is {max_bytes / 1e6:,.0f} MB"
            self._skip(path, "too-large", f"{reason} ({sizes})", f"{remedy}, or raise the limit (--max-size)")
        else:
            self._inodes.add((status.st_dev, status.st_ino))
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
