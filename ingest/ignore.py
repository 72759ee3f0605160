"""Which names inside a folder are left out: ignore files, hidden names, and a short list of defaults.

The first of these that has a word about an entry decides:

1. ``.beyondragignore`` files, the one nearest to the entry first (``!pattern`` takes an entry whatever the
   rules below say),
2. the defaults: `DEFAULT_NAMES`, and folders that say of themselves that they are caches,
3. hidden names (a leading dot),
4. ``.gitignore`` files, the one nearest to the entry first.

Both files have the syntax of gitignore(5).  As with Git, nothing below a folder that is left out can be
taken back.  Ignore files above the folder that the user named do not count, nor do Git's own settings.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import PurePath
from warnings import catch_warnings, simplefilter

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from ingest.errors import printable

OWN_FILE = ".beyondragignore"
GIT_FILE = ".gitignore"
HIDDEN = "hidden"
DEFAULT = "default"

DEFAULT_NAMES = frozenset(
    {
        "node_modules",
        "bower_components",
        "__pycache__",
        "__MACOSX",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        ".git",
        ".hg",
        ".svn",
    }
)
"""Names of folders (and files) that hold no documents of the user's own."""

CACHE_TAG = "CACHEDIR.TAG"
_CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"  # https://bford.info/cachedir/
_ENVIRONMENT_MARK = "pyvenv.cfg"
_OFFICE_LOCK = "~$"  # Office leaves such a file beside each open document

MAX_FILE_BYTES = 256_000
MAX_PATTERNS = 5_000
# Patterns become regular expressions, whose time grows with a power of the number of stars: three in one
# part of a path cost 30 ms with the worst name of 255 characters, four nearly 2 s.
MAX_STARS = 3
MAX_DOUBLE_STARS = 2
MAX_CHARACTERS = 1_000
_STARS = re.compile(r"\*+")
_STAR_RUN = re.compile(r"\\.|\*{2,}")


@dataclass(frozen=True, slots=True)
class _Rule:
    """One line of an ignore file.

    pathspec turns the glob into a regular expression, which by itself also fits what lies below an entry;
    what the rule is about is decided here, as Git does it: a rule without a slash is about names, one that
    ends in a slash about folders only, and one that ends in ``/**`` about everything below.
    """

    leaves_out: bool
    folders_only: bool
    is_name: bool
    is_below: bool
    regex: re.Pattern[str]

    def fits(self, relative: str, name: str, is_folder: bool) -> bool:
        if self.folders_only and not is_folder:
            return False
        path = name if self.is_name else relative
        found = self.regex.match(path)
        return found is not None and (self.is_below or found.end() == len(path))


@dataclass(frozen=True, slots=True)
class _RuleFile:
    """The rules of one ignore file, the last one first; `base` is its folder with a separator at the end."""

    base: str
    rules: tuple[_Rule, ...]

    def word(self, path: str, name: str, is_folder: bool) -> bool | None:
        """True: leave it out; False: take it (``!``); None: no rule is about it."""
        relative = path[len(self.base) :]
        for rule in self.rules:
            if rule.fits(relative, name, is_folder):
                return rule.leaves_out
        return None


@dataclass(frozen=True, slots=True)
class FolderRules:
    """The rules for the entries of one folder: its own ignore files and those of the folders above it."""

    own: tuple[_RuleFile, ...] = ()
    git: tuple[_RuleFile, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    """What could not be applied of this folder's own ignore files."""

    def inside(self, folder: str, names: Collection[str]) -> FolderRules:
        """The rules inside `folder`, whose entries are called `names`; these rules are its parent's."""
        if OWN_FILE not in names and GIT_FILE not in names:
            return self if not self.warnings else FolderRules(self.own, self.git)
        warnings: list[str] = []
        own, git = self.own, self.git
        if OWN_FILE in names:
            own = (*_read(folder, OWN_FILE, warnings), *own)
        if GIT_FILE in names:
            git = (*_read(folder, GIT_FILE, warnings), *git)
        return FolderRules(own, git, tuple(warnings))

    def leaves_out(self, path: str, name: str, *, is_folder: bool) -> str | None:
        """The kind of rule that leaves out the entry `name`, None when it is taken.

        The kinds are `OWN_FILE`, `DEFAULT`, `HIDDEN` and `GIT_FILE`.
        """
        word = _first_word(self.own, path, name, is_folder)
        if word is not None:
            return OWN_FILE if word else None
        if name in DEFAULT_NAMES or name.startswith(_OFFICE_LOCK):
            return DEFAULT
        if name.startswith("."):
            return HIDDEN
        return GIT_FILE if _first_word(self.git, path, name, is_folder) else None

    def takes_back(self, path: str) -> bool:
        """Whether the user's own rules say to take the folder `path`."""
        return _first_word(self.own, path, os.path.basename(path), True) is False  # noqa: PTH119


def is_cache(folder: str, names: Collection[str]) -> bool:
    """Whether a folder with these entries says of itself that its content can be made again at any time.

    Build tools and caches put a `CACHE_TAG` file there; Python environments are told by ``pyvenv.cfg``.
    """
    if _ENVIRONMENT_MARK in names:
        return True
    if CACHE_TAG not in names:
        return False
    data = _content(os.path.join(folder, CACHE_TAG), len(_CACHE_SIGNATURE))  # noqa: PTH118
    return data == _CACHE_SIGNATURE


def _first_word(files: tuple[_RuleFile, ...], path: str, name: str, is_folder: bool) -> bool | None:
    for file in files:
        word = file.word(path, name, is_folder)
        if word is not None:
            return word
    return None


def _read(folder: str, name: str, warnings: list[str]) -> tuple[_RuleFile, ...]:
    path = os.path.join(folder, name)  # noqa: PTH118  (names may hold any bytes)
    data = _content(path, MAX_FILE_BYTES + 1)
    if data is None:
        warnings.append(f"{printable(path)}: it cannot be read; its rules are not applied")
        return ()
    if len(data) > MAX_FILE_BYTES:
        warnings.append(f"{printable(path)}: it is larger than {MAX_FILE_BYTES:,} bytes; not applied")
        return ()
    # As file names are decoded, so that rules fit names in any encoding.
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="surrogateescape")
    rules, n_refused = _rules(re.split(r"\r?\n", text))
    if n_refused:
        warnings.append(f"{printable(path)}: {n_refused} rules have too many stars; not applied")
    base = os.path.join(folder, "")  # noqa: PTH118
    return (_RuleFile(base, rules),) if rules else ()


def _content(path: str, n_bytes: int) -> bytes | None:
    """The first bytes of a regular file; None when there is none, never waiting for one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, n_bytes) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _rules(lines: list[str]) -> tuple[tuple[_Rule, ...], int]:
    """The rules of these lines, the last first, and how many were refused."""
    good: list[_Rule] = []
    n_refused = 0
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        plain = _without_runs(line)
        if len(good) >= MAX_PATTERNS or _is_costly(plain):
            n_refused += 1
            continue
        rule = _rule(plain)
        if rule is not None:
            good.append(rule)
    return tuple(reversed(good)), n_refused


def _without_runs(line: str) -> str:
    """The same rule with one star for every run of stars, two where the run is a whole part of the path.

    To Git a run means no more than that; pathspec makes a loop of every two of its stars, and a file name
    that does not fit is then tried for ever.
    """

    def plain(run: re.Match[str]) -> str:
        if run[0].startswith("\\"):  # an escaped character
            return run[0]
        before, after = line[: run.start()], line[run.end() :].rstrip(" ")
        is_part = before in ("", "!") or before.endswith("/")
        return "**" if is_part and (not after or after.startswith("/")) else "*"

    return _STAR_RUN.sub(plain, line)


def _rule(line: str) -> _Rule | None:
    """None for what is no rule; an invalid one counts for nothing, as in Git."""
    text, n_spaces = _trailing_spaces(line)
    if text.endswith("\\") and n_spaces:  # the first space was written to be kept
        text += " "
    folders_only = text.endswith("/")
    if folders_only:  # the spaces before the slash belong to the name
        text, n_spaces = _trailing_spaces(text[:-1])
        text += " " + "\\ " * (n_spaces - 1) if text.endswith("\\") and n_spaces else "\\ " * n_spaces
    glob = text.removeprefix("!")
    if not glob:
        return None
    try:
        with catch_warnings():
            simplefilter("ignore", FutureWarning)  # "[[": Python's re may once read it in another way
            pattern = GitIgnoreSpecPattern(text)
    except (ValueError, re.error):
        return None
    if pattern.regex is None or pattern.include is None:
        return None
    is_name = "/" not in glob
    # pathspec writes "." for what fits everything.
    is_below = glob.endswith("/**") or pattern.regex.pattern == "."
    return _Rule(pattern.include, folders_only, is_name, is_below, pattern.regex)


def _trailing_spaces(text: str) -> tuple[str, int]:
    stripped = text.rstrip(" ")
    return stripped, len(text) - len(stripped)


def _is_costly(pattern: str) -> bool:
    parts = PurePath(pattern).parts
    return (
        len(pattern) > MAX_CHARACTERS
        or any(len(_STARS.findall(part)) > MAX_STARS for part in parts)
        or sum(part == "**" for part in parts) > MAX_DOUBLE_STARS
    )
