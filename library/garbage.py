"""Clears away what nothing refers to: left-over files, old search indices, half-written snapshots."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from library.errors import LibraryDamaged
from library.files import tree_size
from library.kvstore import Leftover, discard_file
from library.parts import Parts


@dataclass(frozen=True, slots=True)
class GarbageReport:
    """What was removed, or would be: single files, and old builds of the search index as folders."""

    files: tuple[Leftover, ...]
    index_builds: tuple[Leftover, ...]

    @property
    def size_bytes(self) -> int:
        return sum(left.size_bytes for left in (*self.files, *self.index_builds))


def collect_garbage(parts: Parts, *, keep: bool = False) -> GarbageReport:
    """Remove what nothing refers to; with `keep` only say what it is.

    The caller holds the writer's lock, so nothing of a running ingest is touched.  Files that another
    program may be writing for an answer stay until it has closed the library, or is dead for an hour.
    Files with foreign names are never touched.
    """
    index = parts.indexing
    builds = [Leftover(path, tree_size(path)) for path in index.sweep(keep=True)]
    files = parts.snapshots.sweep(keep=keep)
    known = {profile.id for profile in parts.readings.profiles()}
    for profile_id, path in parts.files.prefix_files():
        if profile_id not in known and (left := discard_file(path, keep=keep)):
            files.append(left)
    if not keep:
        index.sweep()
        with suppress(LibraryDamaged):  # the index is built again anyway, as a new one
            index.clear_leftovers()
    return GarbageReport(tuple(files), tuple(builds))
