"""What unfinished work has left beside the models, and tracebacks of this program."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from beyondrag.failures import log_path
from beyondrag.health.check import Check, warn
from beyondrag.quantities import bytes_in_words, moment_in_words
from library.files import regular_size, storage_errors, tree_size
from library.wording import one_line

if TYPE_CHECKING:
    from beyondrag.health.facts import Facts

_PART = re.compile(r"(.+)\.gguf\.[0-9a-f]{8}\.part(?:\.json)?")
_TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp")
_RECENT_S = 7 * 86_400


def check_temporary_files(facts: Facts) -> Iterator[Check]:
    """In the models folder, of processes that are gone.  Raises StorageError."""
    found = [
        path
        for path in _files(facts.settings.models)
        if (match := _TEMPORARY.fullmatch(path.name)) is not None and not _is_alive(int(match[1][:9]))
    ]
    for path in found:
        yield warn(
            "temporary file",
            f"{one_line(str(path), 200)}, {bytes_in_words(regular_size(path) or 0)}; its process is gone",
            "delete it",
        )


def check_partial_models(facts: Facts) -> Iterator[Check]:
    """Pulls that were stopped, and go on where they were.  Raises StorageError."""
    sizes: dict[str, int] = {}
    for path in _files(facts.settings.models):
        if match := _PART.fullmatch(path.name):
            sizes[match[1]] = sizes.get(match[1], 0) + (regular_size(path) or 0)
    for folder in _folders(facts.settings.models):
        if folder.name.startswith(".") and folder.name.endswith(".gguf.pull"):
            model = folder.name[1:].removesuffix(".gguf.pull")
            sizes[model] = sizes.get(model, 0) + tree_size(folder)
    for model, size in sorted(sizes.items()):
        shown = one_line(model, 60)
        yield warn(
            "partial model",
            f"{shown}: {bytes_in_words(size)} of a pull that did not finish",
            f"beyondrag models pull {shown} goes on with it, beyondrag models remove {shown} drops it",
        )


def check_error_log() -> Iterator[Check]:
    """Whether this program failed in a way that nobody foresaw, within the last seven days."""
    path = log_path()
    try:
        written_at = path.stat().st_mtime
    except OSError:
        return
    if time.time() - written_at < _RECENT_S:
        yield warn(
            "error log",
            f"an internal error was recorded on {moment_in_words(written_at)}",
            f"please report what is in {one_line(str(path), 200)}",
        )


def _files(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if regular_size(path) is not None]


def _folders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir() and not path.is_symlink()]


def _entries(folder: Path) -> list[Path]:
    with storage_errors(folder):
        return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
