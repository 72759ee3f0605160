"""`beyondrag library show` and `beyondrag library remove`: one document."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beyondrag.commands.library.listing import entry
from beyondrag.console import Console
from beyondrag.quantities import bytes_in_words, moment_in_words
from beyondrag.settings import settings_from

if TYPE_CHECKING:
    from beyondrag.document_state import DocumentState
    from library.store import Library

DOC_HELP = "a file name, a path, a title, or the first digits of the id"

_SHOW_EXAMPLES = """\
examples:
  beyondrag library show handbook.pdf
  beyondrag library show "Annual report 2025" --json
  beyondrag library show handbook.pdf --text       what was read of it, with the places to cite
"""
_REMOVE_EXAMPLES = """\
The file itself stays where it is; only what the library keeps of it goes.

examples:
  beyondrag library remove handbook.pdf
  beyondrag library remove 4f2a9c0d11aa --yes
"""


def add_actions(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Describe the actions of this module."""
    showing = actions.add_parser(
        "show",
        parents=parents,
        help="one document",
        epilog=_SHOW_EXAMPLES,
        description="Show all that is known of one document.",
    )
    showing.add_argument("document", metavar="DOC", help=DOC_HELP)
    showing.add_argument("--text", action="store_true", help="also the text, each place under its name")
    showing.set_defaults(run=_show)

    removing = actions.add_parser(
        "remove",
        parents=parents,
        help="forget a document",
        epilog=_REMOVE_EXAMPLES,
        description="Forget a document with its text and its snapshots.",
    )
    removing.add_argument("document", metavar="DOC", help=DOC_HELP)
    removing.add_argument("--yes", action="store_true", help="do not ask")
    removing.set_defaults(run=_remove)


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
        if args.text:
            text = library.text(document.id)
            details["text"] = [
                {"place": page.label, "text": text.text[page.start : page.end]} for page in text.pages
            ]
    if console.wants_json:
        console.json(details)
    else:
        _print_details(details, console)
        for page in details.get("text", ()):
            console.out()
            console.out(f"[{page['place']}]")
            console.block(page["text"].rstrip())
    return 0


def _details(library: Library, state: DocumentState, profile_id: str | None) -> dict[str, Any]:
    document = state.document
    profiles = {profile.id: profile for profile in library.profiles()}
    volumes = library.volumes(document.id, profile_id) if profile_id else ()
    return entry(state) | {
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
