"""`beyondrag library list` and `beyondrag library stats`: all documents, and what they take."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from beyondrag.console import Console
from beyondrag.quantities import bytes_in_words, counted
from beyondrag.settings import settings_from
from beyondrag.tables import columns

if TYPE_CHECKING:
    from beyondrag.document_state import DocumentState
    from library.hot import HotTotals
    from library.records import FailureRecord
    from library.statistics import LibraryStatistics, ProfileStatistics

DEFAULT_LIMIT = 200
_FAILURES_SHOWN = 20

_LIST_EXAMPLES = """\
states:
  ready    read: questions are answered without reading it again
  indexed  found by search; read when a question needs it
  stale    read for another model, prompt or codec; ingest it again
  missing  its file is gone; what was read can still be asked about

examples:
  beyondrag library list
  beyondrag library list --limit 50 --offset 100
  beyondrag library list --limit 0 --json
"""
_STATS_EXAMPLES = """\
examples:
  beyondrag library stats
  beyondrag library stats --json
"""


def add_actions(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Describe the actions of this module."""
    listing = actions.add_parser(
        "list",
        parents=parents,
        help="all documents",
        epilog=_LIST_EXAMPLES,
        description="Show documents in the order in which they were added.",
    )
    listing.add_argument(
        "--limit",
        type=_count,
        default=DEFAULT_LIMIT,
        metavar="N",
        help=f"show up to N documents, 0 for all (default {DEFAULT_LIMIT})",
    )
    listing.add_argument(
        "--offset", type=_count, default=0, metavar="N", help="leave out the first N documents"
    )
    listing.set_defaults(run=_list)
    counting = actions.add_parser(
        "stats",
        parents=parents,
        help="counts, and bytes by kind",
        epilog=_STATS_EXAMPLES,
        description="Show what the library holds and what it takes on the disk.",
    )
    counting.set_defaults(run=_stats)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number")
    return int(text)


# ---------------------------------------------------------------------------------- list


def _list(args: argparse.Namespace, console: Console) -> int:
    from beyondrag.document_state import document_states
    from beyondrag.reading import current_profile
    from library.store import Library

    settings = settings_from(args)
    with Library.open(settings.library) as library:
        profile = current_profile(library, settings)
        limit = args.limit or None
        n_documents = library.count()
        states = document_states(library, profile, limit=limit, offset=args.offset)
        failures = library.failures()
    if profile is None:
        console.note(f"the model {settings.model} is not installed, so every snapshot counts as stale")
    if console.wants_json:
        console.json(
            {
                "library": str(settings.library),
                "n_documents": n_documents,
                "offset": args.offset,
                "documents": [entry(state) for state in states],
                "failures": [
                    {"path": f.path, "code": f.code, "reason": f.reason, "remedy": f.remedy} for f in failures
                ],
            }
        )
        return 0
    if states:
        _print_list(states, console)
        _say_what_is_left_out(args.offset, len(states), n_documents, console)
    elif n_documents:
        console.note(f"the library holds {n_documents:,} documents; --offset leaves all of them out")
    else:
        console.note("the library is empty; read something with `beyondrag ingest FOLDER`")
    _print_failures(failures, console)
    return 0


def _print_list(states: list[DocumentState], console: Console) -> None:
    rows = [
        [
            state.document.title,
            str(state.document.n_pages),
            state.state,
            "-" if state.n_tokens is None else f"{state.n_tokens:,}",
            bytes_in_words(state.snapshot_bytes) if state.snapshots else "-",
            state.document.name,
        ]
        for state in states
    ]
    headers = ("title", "pages", "state", "tokens", "snapshot", "name")
    for line in columns(headers, rows, right={1, 3, 4}, flexible=0, width=console.width):
        console.out(line)


def _say_what_is_left_out(offset: int, n_shown: int, n_documents: int, console: Console) -> None:
    if n_shown >= n_documents:
        return
    last = offset + n_shown
    more = f"; next: --offset {last}" if last < n_documents else ""
    console.note(f"documents {offset + 1:,} to {last:,} of {n_documents:,}{more}")


def _print_failures(failures: list[FailureRecord], console: Console) -> None:
    if not failures:
        return
    console.note(f"{len(failures)} files could not be read:")
    for failure in failures[:_FAILURES_SHOWN]:
        console.note(f"  {failure.path}: {failure.reason}; {failure.remedy}")
    if len(failures) > _FAILURES_SHOWN:
        console.note(f"  and {len(failures) - _FAILURES_SHOWN} more: beyondrag ingest --failed")


def entry(state: DocumentState) -> dict[str, Any]:
    """A document as JSON tells of it."""
    document = state.document
    return {
        "id": document.id,
        "title": document.title,
        "name": document.name,
        "path": document.path,
        "pages": document.n_pages,
        "state": state.state,
        "tokens": state.n_tokens,
        "n_volumes": state.n_volumes,
        "n_volumes_ready": state.n_ready,
        "snapshot_bytes": state.snapshot_bytes,
        "warnings": list(document.warnings),
    }


# --------------------------------------------------------------------------------- stats


def _stats(args: argparse.Namespace, console: Console) -> int:
    from beyondrag.reading import current_profile
    from library.store import Library
    from library.upkeep import Upkeep

    settings = settings_from(args)
    with Library.open(settings.library) as library:
        found = Upkeep(library).statistics(current_profile(library, settings))
    if console.wants_json:
        console.json(_stats_json(found, settings.hot_cache))
    else:
        _print_stats(found, settings.hot_cache, console)
    return 0


def _stats_json(found: LibraryStatistics, hot_bound: int) -> dict[str, Any]:
    told = asdict(found) | {"total_bytes": found.total_bytes}
    told["hot"] |= {"bound_bytes": hot_bound}
    told["profiles"] = [
        asdict(profile) | {"compression": profile.compression, "bits_per_value": profile.bits_per_value}
        for profile in found.profiles
    ]
    return told


def _hot_in_words(hot: HotTotals, bound: int) -> str:
    """How many copies there are, and how often a document that is read has one."""
    n_reads = hot.n_hits + hot.n_misses
    used = f", {hot.n_hits:,} of {counted(n_reads, 'read')} found one" if n_reads else ""
    if not bound and not hot.n_copies:
        return f"off{used}"
    copies = counted(hot.n_copies, "copy", "copies")
    return f"{copies}, {bytes_in_words(hot.size_bytes)} of {bytes_in_words(bound)}{used}"


def _print_stats(found: LibraryStatistics, hot_bound: int, console: Console) -> None:
    missing = f", files of {found.n_missing:,} gone" if found.n_missing else ""
    facts = [
        ("documents", f"{found.n_documents:,}{missing}"),
        ("pages", f"{found.n_pages:,}"),
        ("characters", f"{found.n_chars:,}"),
        ("failed files", f"{found.n_failures:,}"),
        ("texts", f"{bytes_in_words(found.text_bytes)}, stored in {bytes_in_words(found.stored_text_bytes)}"),
        ("catalogue", f"{bytes_in_words(found.catalogue_bytes)}, texts included"),
        ("search index", bytes_in_words(found.index_bytes)),
        ("snapshots", bytes_in_words(found.snapshot_bytes)),
        ("hot copies", _hot_in_words(found.hot, hot_bound)),
        ("prefixes", bytes_in_words(found.prefix_bytes)),
        ("temporary", bytes_in_words(found.temporary_bytes)),
        ("in all", bytes_in_words(found.total_bytes)),
    ]
    for label, fact in facts:
        console.out(f"  {label:<13} {fact}")
    if found.profiles:
        console.out()
        headers = ("model", "codec", "snapshots", "tokens", "size", "bits/value", "against f16", "state")
        rows = [_profile_row(profile) for profile in found.profiles]
        for line in columns(headers, rows, right={2, 3, 4, 5, 6}, flexible=0, width=console.width):
            console.out(line)


def _profile_row(profile: ProfileStatistics) -> list[str]:
    smaller, bits = profile.compression, profile.bits_per_value
    return [
        profile.model_name or profile.profile_id[:12],
        profile.codec,
        f"{profile.n_snapshots:,}",
        f"{profile.n_tokens:,}",
        bytes_in_words(profile.size_bytes),
        "-" if bits is None else f"{bits:.2f}",
        "-" if smaller is None else f"{smaller:.1f} times smaller",
        "current" if profile.current else "stale",
    ]
