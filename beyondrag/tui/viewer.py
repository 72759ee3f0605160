"""Opening a document's own file in the system's viewer."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

from beyondrag.errors import AppError, UsageError
from ingest.parsers import parser_for_suffix
from ingest.parsers.source_code import CodeParser
from library.files import storage_error

_REFUSAL_S = 2.0
"""An opener that finds no program for a file says so in this time; a viewer may run for hours."""


def open_in_viewer(path: str) -> None:
    """Open the file with `xdg-open` (`open` on a Mac); returns when the viewer was started.

    Only a regular file of a document format that can be read here is opened: a script would be run by
    some desktops instead of shown.

    Raises:
        StorageError: there is no such file any more.
        UsageError: it is not a file that may be opened this way.
        AppError: there is no display to show it on, as over ssh; the system has no viewer, or none for it.
    """
    file = Path(path)
    try:
        status = file.stat()
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            raise storage_error(error, path) from error
        raise UsageError("this is no file's name", subject=path) from error
    parser = parser_for_suffix(file.suffix)
    if not stat.S_ISREG(status.st_mode) or not file.is_absolute():
        raise UsageError("this is not a regular file", subject=path)
    if parser is None or parser.name == CodeParser.name:
        raise UsageError(
            "files of this kind are not opened from here", subject=path, remedy="open it in a text editor"
        )
    if _is_remote_without_display():
        raise AppError(
            "over ssh there is no display to show the file on", remedy=f"on that machine it is {path}"
        )
    command = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if command is None:
        raise AppError("the system has no xdg-open", remedy=f"open it in another way: {path}")
    try:
        # An argument list, an absolute path: no shell reads it, and no option can be made of it.
        process = subprocess.Popen(  # noqa: S603 - see above
            [command, str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise AppError("the viewer could not be started", subject=command, remedy=str(error)) from error
    try:
        code = process.wait(_REFUSAL_S)
    except subprocess.TimeoutExpired:
        threading.Thread(target=process.wait, name="viewer", daemon=True).start()
        return
    if code != 0:
        raise AppError(
            f"the system found no program that opens it ({Path(command).name} ended with {code})",
            remedy=f"open it in another way: {path}",
        )


def _is_remote_without_display() -> bool:
    """Whether a window would have nowhere to go: a login over ssh that forwards no display."""
    if sys.platform == "darwin":
        return False
    remote = any(os.environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY"))
    return remote and not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
