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
    failures = _known_failures((), library) if library else []
    for failure in failures:
        path = Path(failure.path)
        there = next((file for file in (path, path.parent) if file.is_file()), None)
        if there is not None:
            found[there] = None
    if not found and not failures:
        raise NothingToIngest("no file failed", remedy="beyondrag ingest FOLDER")
    if not found:
        raise NothingToIngest(
            "of what failed nothing is there that could be read", remedy="beyondrag ingest --failed lists it"
        )
    return list(found)


def _known_failures(paths: Sequence[Path], library: Library) -> list[FailureRecord]:
    if not paths:
        return library.failures()
    folders = [os.path.abspath(path) for path in paths]  # noqa: PTH100  (links stay as written)
    found = {failure.path: failure for folder in folders for failure in library.failures(folder)}
    return [found[path] for path in sorted(found)]
