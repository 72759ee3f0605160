"""What nobody foresaw: told in one line, with the traceback in a file for whoever mends it."""

from __future__ import annotations

import errno
import os
import traceback
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

from beyondrag.errors import AppError
from kvfiles.errors import BeyondragError
from library.files import storage_error
from library.wording import one_line

_LOG_LIMIT_BYTES = 1 << 20
_FILE_SYSTEM = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
    }
)


class InternalError(AppError):
    """A mistake in this program; `subject` is empty, the remedy names the file with the traceback."""


def internal_error(error: Exception) -> BeyondragError:
    """`error` as something a user can be shown.

    What the file system or the machine refused keeps its meaning; everything else is a mistake of
    this program, and its traceback is written to `log_path`.
    """
    if isinstance(error, OSError) and error.errno in _FILE_SYSTEM:
        return storage_error(error, one_line(os.fsdecode(error.filename)) if error.filename else "output")
    if isinstance(error, MemoryError):
        return AppError(
            "there is not enough memory", remedy="close other programs, or use a smaller --context or --model"
        )
    detail = one_line(str(error), 200)
    message = f"{type(error).__name__}: {detail}" if detail else type(error).__name__
    path = _keep(error)
    remedy = f"the traceback is in {path}; please report it" if path else "run it again with --verbose"
    return InternalError(message, subject="internal error", remedy=remedy)


def log_path() -> Path:
    """Where tracebacks go: the user's state folder."""
    return platformdirs.user_state_path("beyondrag", appauthor=False) / "errors.log"


def _keep(error: Exception) -> Path | None:
    """Append the traceback to the log; None when that is impossible too."""
    try:
        path = log_path()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
            if os.fstat(descriptor).st_size > _LOG_LIMIT_BYTES:
                file.truncate(0)
            file.write(f"--- {datetime.now(UTC).isoformat(timespec='seconds')}\n")
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return None
    return path
