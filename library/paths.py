"""Where things live when the user does not say: the XDG data directory of the platform.

Nothing is created here by asking; `private_directory` creates, for this user only.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from library.files import storage_errors

LIBRARY_VARIABLE = "BEYONDRAG_LIBRARY"
_APPLICATION = "beyondrag"


def data_root() -> Path:
    """The data directory of the application: models and the default library are below it."""
    return platformdirs.user_data_path(_APPLICATION, appauthor=False)


def default_root() -> Path:
    """The library's directory: the environment variable BEYONDRAG_LIBRARY, else below `data_root`."""
    chosen = os.environ.get(LIBRARY_VARIABLE, "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    return data_root() / "library"


def private_directory(path: Path) -> Path:
    """Create `path` and what is missing above it, with mode 0700; an existing one is left as it is.

    Raises:
        StorageError: it cannot be created.
    """
    with storage_errors(path):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    return path
