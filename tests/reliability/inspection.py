"""An independent look at what lies on the disk: which files of a library nothing accounts for."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

_OF_THE_LIBRARY = {
    "catalogue.sqlite3",
    "catalogue.sqlite3-wal",
    "catalogue.sqlite3-shm",
    "writer.lock",
    "scratch.lock",
}
_OF_THE_INDEX = {"meta.json", ".managed.json", ".tantivy-meta.lock", ".tantivy-writer.lock"}


def orphans(root: Path) -> list[str]:
    """Files below `root` that neither the catalogue nor the search index speaks of."""
    with closing(sqlite3.connect(root / "catalogue.sqlite3")) as connection:
        contents = {row[0] for row in connection.execute("SELECT content FROM snapshots")}
        profiles = {row[0] for row in connection.execute("SELECT id FROM profiles")}
        setting = connection.execute("SELECT value FROM settings WHERE name = 'index'").fetchone()
    known = {root / name for name in _OF_THE_LIBRARY}
    known |= {root / "kv" / content[:2] / f"{content}.kv" for content in contents}
    known |= {root / "hot" / f"{content}.kv" for content in contents}
    known |= {root / "hot" / name for name in ("lock", "reads")}
    known |= {root / "kv" / "prefix" / f"{profile}.kv" for profile in profiles}
    if setting:
        for part in ("documents", "passages"):
            known |= _index_files(root / "index" / setting[0] / part)
    files = [path for path in root.rglob("*") if not path.is_dir()]
    return sorted(str(path.relative_to(root)) for path in files if path not in known)


def _index_files(folder: Path) -> set[Path]:
    meta = json.loads((folder / "meta.json").read_text())
    segments = {segment["segment_id"].replace("-", "") for segment in meta["segments"]}
    named = {path for path in folder.iterdir() if path.name.split(".")[0] in segments}
    return named | {folder / name for name in _OF_THE_INDEX}
