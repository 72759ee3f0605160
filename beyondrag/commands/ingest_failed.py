"""`beyondrag ingest --failed` and `--retry-failed`: the files that could not be read."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from beyondrag.console import Console
from ingest.errors import NothingToIngest

if TYPE_CHECKING:
    from library.records import FailureRecord
    from library.store import Library


def list_failed(paths: Sequence[Path], root: Path, console: Console) -> int:
    """Print what the library in `root` knows to have failed at or below `paths`, everywhere when empty."""
    from library.store import Library

    with Library.open(root) as library:
        failures = _known_failures(paths, library)
    if console.wants_json:
        rows = [
            {"path": f.path, "code": f.code, "reason": f.reason, "remedy": f.remedy, "at": round(f.at, 3)}
            for f in failures
        ]
        console.json({"failed": rows})
        return 0
    if not failures:
        console.out("no file failed")
        return 0
    for failure in failures:
        day = time.strftime("%Y-%m-%d", time.localtime(failure.at))
        console.out(f"{PurePath(failure.path).name}: {failure.reason}")
        console.out(f"  {day}  {failure.path}")
        console.out(f"  try: {failure.remedy}")
    console.out()
    console.out(f"{len(failures)} failed; after mending them: beyondrag ingest --retry-failed")
    return 0


def paths_to_ingest(paths: Sequence[Path], library: Library | None) -> list[Path]:
    """`paths`; without any, the files that failed before and are still there (of a message: its mailbox).

    Raises:
        NothingToIngest: there is none.
    """
    if paths:
        return list(paths)
    found: dict[Path, None] = {}
    for failure in _known_failures((), library) if library else ():
        path = Path(failure.path)
        there = next((file for file in (path, path.parent) if file.is_file()), None)
        if there is not None:
            found[there] = None
    if not found:
        raise NothingToIngest("no file that failed is there any more", remedy="beyondrag ingest FOLDER")
    return list(found)


def _known_failures(paths: Sequence[Path], library: Library) -> list[FailureRecord]:
    folders = [os.path.abspath(path).rstrip(os.sep) for path in paths]  # noqa: PTH100  (links stay as written)
    return [
        failure
        for failure in library.failures()
        if not folders or any(failure.path == f or failure.path.startswith(f + os.sep) for f in folders)
    ]
