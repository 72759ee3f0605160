"""`beyondrag library`: what has been read, one document in detail, remove one, check everything."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beyondrag.console import Console
from beyondrag.quantities import bytes_in_words, moment_in_words
from beyondrag.settings import settings_from
from beyondrag.tables import columns

if TYPE_CHECKING:
    from beyondrag.document_state import DocumentState
    from library.store import Library

_EXAMPLES = """\
examples:
  beyondrag library list
  beyondrag library show handbook.pdf
  beyondrag library remove 4f2a9c0d11aa --yes
  beyondrag library verify
"""
_LIST_EXAMPLES = """\
states:
  ready    read: questions are answered without reading it again
  indexed  found by search; read when a question needs it
  stale    read for another model, prompt or codec; ingest it again
  missing  its file is gone; what was read can still be asked about

examples:
  beyondrag library list
  beyondrag library list --json
"""
_DOC = "a file name, a path, a title, or the first digits of the id"
_SHOW_EXAMPLES = """\
examples:
  beyondrag library show handbook.pdf
  beyondrag library show "Annual report 2025" --json
"""
_REMOVE_EXAMPLES = """\
The file itself stays where it is; only what the library keeps of it goes.

examples:
  beyondrag library remove handbook.pdf
  beyondrag library remove 4f2a9c0d11aa --yes
"""
_VERIFY_EXAMPLES = """\
Reads the whole library and changes nothing.  Exit code 6 when something is wrong.

examples:
  beyondrag library verify
  beyondrag library verify --json
"""
_FINDINGS = 6


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Describe the command."""
    text = "See, check and remove what has been read."
    parser = subparsers.add_parser(
        "library", help="see and check what has been read", description=text, epilog=_EXAMPLES
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    listing = actions.add_parser(
        "list",
        parents=parents,
        help="all documents",
        epilog=_LIST_EXAMPLES,
        description="Show all documents.",
    )
    listing.set_defaults(run=_list)

    showing = actions.add_parser(
        "show",
        parents=parents,
        help="one document",
        epilog=_SHOW_EXAMPLES,
        description="Show all that is known of one document.",
    )
    showing.add_argument("document", metavar="DOC", help=_DOC)
    showing.set_defaults(run=_show)

    removing = actions.add_parser(
        "remove",
        parents=parents,
        help="forget a document",
        epilog=_REMOVE_EXAMPLES,
        description="Forget a document with its text and its snapshots.",
    )
    removing.add_argument("document", metavar="DOC", help=_DOC)
    removing.add_argument("--yes", action="store_true", help="do not ask")
    removing.set_defaults(run=_remove)

    verifying = actions.add_parser(
        "verify",
        parents=parents,
        help="check everything",
        epilog=_VERIFY_EXAMPLES,
        description="Check that catalogue, texts, search index and snapshots fit together.",
    )
    verifying.set_defaults(run=_verify)


def _list(args: argparse.Namespace, console: Console) -> int:
    from beyondrag.document_state import document_states
    from beyondrag.reading import current_profile
    from library.store import Library

    settings = settings_from(args)
    with Library.open(settings.library) as library:
        profile = current_profile(library, settings)
        states = document_states(library, profile)
        failures = library.failures()
    if profile is None:
        console.note(f"the model {settings.model} is not installed, so every snapshot counts as stale")
    if console.wants_json:
        console.json(
            {
                "library": str(settings.library),
                "documents": [_entry(state) for state in states],
                "failures": [
                    {"path": f.path, "code": f.code, "reason": f.reason, "remedy": f.remedy} for f in failures
                ],
            }
        )
        return 0
    if states:
        _print_list(states, console)
    else:
        console.note("the library is empty; read something with `beyondrag ingest FOLDER`")
    if failures:
        console.note(f"{len(failures)} files could not be read:")
        for failure in failures:
            console.note(f"  {failure.path}: {failure.reason}; {failure.remedy}")
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


def _entry(state: DocumentState) -> dict[str, Any]:
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


def _show(args: argparse.Namespace, console: Console) -> int:
    from beyondrag.document_state import document_state
    from beyondrag.reading import current_profile
    from library.store import Library

    settings = settings_from(args)
    with Library.open(settings.library) as library:
        document = library.find(args.document)
        profile = current_profile(library, settings)
        state = document_state(library, document, profile)
        details = _details(library, state, profile)
    if console.wants_json:
        console.json(details)
    else:
        _print_details(details, console)
    return 0


def _details(library: Library, state: DocumentState, profile_id: str | None) -> dict[str, Any]:
    document = state.document
    profiles = {profile.id: profile for profile in library.profiles()}
    volumes = library.volumes(document.id, profile_id) if profile_id else ()
    return _entry(state) | {
        "media_type": document.media_type,
        "characters": document.n_chars,
        "added_at": document.added_at,
        "paths": list(document.paths),
        "volumes": [
            {
                "volume": v.ordinal + 1,
                "label": v.label,
                "tokens": v.n_tokens,
                "characters": [v.char_start, v.char_end],
            }
            for v in volumes
        ],
        "snapshots": [
            {
                "volume": s.ordinal + 1,
                "codec": s.codec,
                "bits_per_value": _bits_per_value(s.path),
                "profile": s.profile_id,
                "model": profiles[s.profile_id].model_name if s.profile_id in profiles else None,
                "stale": s.profile_id != profile_id,
                "tokens": s.n_tokens,
                "size_bytes": s.size_bytes,
                "created_at": s.created_at,
                "last_read_at": s.last_read_at,
                "path": str(s.path),
            }
            for s in state.snapshots
        ],
    }


def _bits_per_value(path: Path) -> float | None:
    """From the file's header; None when the file cannot be used."""
    from kvfiles.errors import SnapshotError, StorageError
    from kvfiles.kernels import best
    from kvfiles.snapshot import Snapshot

    try:
        with Snapshot(path, best()) as snapshot:
            shape = snapshot.header.shape
            return snapshot.codec.bits_per_value(snapshot.n_tokens, shape.k_width, shape.v_width)
    except (SnapshotError, StorageError):
        return None


def _print_details(details: dict[str, Any], console: Console) -> None:
    console.out(details["title"])
    facts = {
        "id": details["id"],
        "state": details["state"],
        "kind": details["media_type"],
        "pages": f"{details['pages']:,}",
        "characters": f"{details['characters']:,}",
        "tokens": "not counted yet" if details["tokens"] is None else f"{details['tokens']:,}",
        "added": moment_in_words(details["added_at"]),
    }
    for label, fact in facts.items():
        console.out(f"  {label:<11} {fact}")
    for path in details["paths"]:
        console.out(f"  file        {path}")
    for volume in details["volumes"]:
        first, last = volume["characters"]
        label = f", {volume['label']}" if volume["label"] else ""
        extent = f"{volume['tokens']:,} tokens, characters {first:,}-{last:,}"
        console.out(f"  volume {volume['volume']:<4} {extent}{label}")
    for snapshot in details["snapshots"]:
        bits = snapshot["bits_per_value"]
        parts = (
            f"volume {snapshot['volume']}",
            snapshot["codec"] + (f" at {bits:.2f} bits per value" if bits is not None else ", unusable file"),
            f"{snapshot['tokens']:,} tokens",
            bytes_in_words(snapshot["size_bytes"]),
            f"profile {snapshot['profile'][:12]}" + (f" of {snapshot['model']}" if snapshot["model"] else ""),
            "stale" if snapshot["stale"] else "current",
            f"made {moment_in_words(snapshot['created_at'])}",
        )
        console.out(f"  snapshot    {', '.join(parts)}")
        console.out(f"              {snapshot['path']}")
    for warning in details["warnings"]:
        console.out(f"  warning     {warning}")


def _remove(args: argparse.Namespace, console: Console) -> int:
    from library.store import Library

    with Library.open(settings_from(args).library) as library:
        document = library.find(args.document)
        if not args.yes and not console.confirm(
            f"Remove {document.title} ({document.name}) from the library?"
        ):
            console.note("nothing was removed")
            return 1
        library.remove(document.id)
    if console.wants_json:
        console.json({"removed": document.id, "title": document.title, "paths": list(document.paths)})
    else:
        console.out(f"removed {document.title} ({document.name})")
    return 0


def _verify(args: argparse.Namespace, console: Console) -> int:
    from library.store import Library

    with Library.open(settings_from(args).library) as library:
        findings = library.verify()
        n_documents = library.count()
    if console.wants_json:
        console.json({"ok": not findings, "documents": n_documents, "findings": findings})
    else:
        for finding in findings:
            console.out(finding)
        console.note(f"{n_documents} documents checked, {len(findings) or 'no'} findings")
    return _FINDINGS if findings else 0
