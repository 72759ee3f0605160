"""Which folder is a library, and which may become one."""

from __future__ import annotations

from pathlib import Path

from library.errors import LibraryError
from library.files import storage_errors
from library.paths import private_directory

CATALOGUE_NAME = "catalogue.sqlite3"


def existing_root(root: Path) -> Path:
    """The absolute path of the library in `root`.

    Raises:
        LibraryError: there is none.
    """
    root = root.expanduser().absolute()
    with storage_errors(root):
        exists = (root / CATALOGUE_NAME).is_file()
    if not exists:
        raise LibraryError(
            "there is no library here",
            subject=str(root),
            remedy="run `beyondrag ingest FOLDER` to make one",
        )
    return root


def new_or_existing_root(root: Path) -> Path:
    """The absolute path of the library in `root`, or of the new or empty folder that becomes one.

    Raises:
        LibraryError: something else is there.
    """
    root = root.expanduser().absolute()
    with storage_errors(root):
        if root.exists() and not root.is_dir():
            raise LibraryError("this is a file", subject=str(root), remedy="name a folder with --library")
    private_directory(root)
    with storage_errors(root):
        if not (root / CATALOGUE_NAME).exists() and any(root.iterdir()):
            raise LibraryError(
                "the folder is not empty and holds no library",
                subject=str(root),
                remedy="name a new or an empty folder with --library",
            )
    return root
