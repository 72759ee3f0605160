"""Who is writing at this moment: to the library, or to a model that is being pulled."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from beyondrag.health.check import Check, ok, warn
from library.errors import LibraryLocked
from library.files import storage_errors
from library.lock import WriterLock
from library.wording import one_line

if TYPE_CHECKING:
    from beyondrag.health.facts import Facts

_PID_LIMIT = 32


def check_library_lock(facts: Facts) -> Iterator[Check]:
    """Taken and given back at once, as the next command that writes would.  Raises StorageError."""
    name = "library lock"
    path = facts.settings.library / "writer.lock"
    if not path.is_file() or not os.access(path, os.W_OK):
        return
    try:
        with WriterLock(path).hold():
            pass
    except LibraryLocked as locked:
        yield warn(name, locked.message, locked.remedy)
    else:
        yield ok(name, "nobody is writing")


def check_pulls(facts: Facts) -> Iterator[Check]:
    """Models that are being pulled or removed now.  Raises StorageError."""
    root = facts.settings.models
    if not root.is_dir():
        return
    with storage_errors(root):
        locks = sorted(root.glob("*.gguf.lock"))
    for path in locks:
        model = one_line(path.name.removesuffix(".gguf.lock"), 60)
        if (holder := _holder(path)) is not None:
            who = f"process {holder}" if holder else "another process"
            yield warn("model lock", f"{who} is pulling {model}", "wait until it has finished, or stop it")


def _holder(path: Path) -> str | None:
    """The number of the process that holds the lock file, "" where it does not say; None: nobody does."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            said = os.pread(descriptor, _PID_LIMIT, 0).decode("ascii", "replace")
            return said if said.isdigit() else ""
        finally:
            os.close(descriptor)
    return None
