"""What is in the library: snapshots of other models, lost files, failures; everything when deep."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from beyondrag.calibration.store import CalibrationStore
from beyondrag.health.catalogue_file import has_library, is_current
from beyondrag.health.check import Check, bad, ok, warn
from beyondrag.quantities import bytes_in_words
from library.errors import LibraryLocked
from library.files import regular_size
from library.store import Library
from library.upkeep import Upkeep
from library.wording import one_line

if TYPE_CHECKING:
    from beyondrag.health.facts import Facts


def check_contents(facts: Facts) -> Iterator[Check]:
    """Counts and sizes; only of a library in this program's own format, which opening does not change.

    Raises library errors.
    """
    root = facts.settings.library
    if not has_library(root) or not is_current(root):
        return
    with closing(Library.open(root)) as library:
        yield from _snapshots(facts, library)
        yield from _failures(library)
        yield from _left_over(library)
        if facts.deep:
            yield from _everything(facts, library)


def _snapshots(facts: Facts, library: Library) -> Iterator[Check]:
    name = "snapshots"
    profile_id = facts.profile.id if facts.profile else None
    n = lost = stale = stale_bytes = total = 0
    for record in library.snapshots():
        n += 1
        total += record.size_bytes
        lost += regular_size(record.path) != record.size_bytes
        if profile_id is not None and record.profile_id != profile_id:
            stale += 1
            stale_bytes += record.size_bytes
    if lost:
        yield bad(
            name,
            f"{lost:,} of {n:,} are not there or have another size than noted",
            "beyondrag library verify names them; ingest again to read those documents anew",
        )
    about = f"{library.count():,} documents, {n:,} snapshots of {bytes_in_words(total)}"
    if stale:
        yield warn(
            name,
            f"{about}; {stale:,} ({bytes_in_words(stale_bytes)}) are of another model, prompt or codec",
            "beyondrag ingest FOLDER reads those documents for this one; or choose the former model or codec",
        )
    elif not lost:
        yield ok(name, about if profile_id else f"{about}; without a model none can be used")


def _failures(library: Library) -> Iterator[Check]:
    name = "failed files"
    failures = library.failures()
    if failures:
        first = one_line(failures[0].path.rsplit("/", 1)[-1], 80)
        yield warn(
            name,
            f"{len(failures):,} files could not be read, such as {first}: {failures[0].reason}",
            "beyondrag ingest --failed lists them",
        )
    else:
        yield ok(name, "every file that was tried could be read")


def _left_over(library: Library) -> Iterator[Check]:
    name = "left-over files"
    try:
        garbage = Upkeep(library).collect_garbage(keep=True)
    except LibraryLocked:
        return  # a running ingest uses some of them
    found = [left.path for left in (*garbage.files, *garbage.index_builds)]
    if found:
        yield warn(
            name,
            f"{len(found):,} that nothing refers to, {bytes_in_words(garbage.size_bytes)}, such as "
            f"{one_line(str(found[0]), 200)}",
            "beyondrag library gc",
        )
    else:
        yield ok(name, "none")


def _everything(facts: Facts, library: Library) -> Iterator[Check]:
    name = "whole library"
    verdict = Upkeep(library, CalibrationStore(facts.settings.models)).verify(deep=True)
    about = f"{verdict.n_documents:,} documents and {verdict.n_snapshots:,} snapshots read"
    if verdict.sound:
        yield ok(name, f"{about}; catalogue, texts, search index and snapshots fit together")
        return
    first, *others = verdict.findings
    more = f" and {len(others):,} more findings" if others else ""
    yield bad(
        name,
        f"{about}: {one_line(first.text, 200)}{more}",
        "beyondrag library verify --deep shows them, with --repair it mends what can be mended",
    )
