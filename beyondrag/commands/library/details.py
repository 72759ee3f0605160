"""`beyondrag library show` and `beyondrag library remove`: one document."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beyondrag.commands.library.listing import entry
from beyondrag.console import Console
from beyondrag.quantities import bytes_in_words, moment_in_words
from beyondrag.settings import settings_from
from library.wording import one_line

if TYPE_CHECKING:
    from beyondrag.calibration.store import CalibrationStore
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
    from beyondrag.calibration.store import CalibrationStore
    from beyondrag.document_state import document_state
    from beyondrag.reading import current_profile
    from library.store import Library

    settings = settings_from(args)
    with Library.open(settings.library) as library:
        document = library.find(args.document)
        profile = current_profile(library, settings)
        state = document_state(library, document, profile)
        details = _details(library, state, profile, CalibrationStore(settings.models))
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


def _details(
    library: Library, state: DocumentState, profile_id: str | None, calibrations: CalibrationStore
) -> dict[str, Any]:
    document = state.document
    profiles = {profile.id: profile for profile in library.profiles()}
    volumes = library.volumes(document.id, profile_id) if profile_id else ()
    return entry(state) | {
        "media_type": document.media_type,
        "language": document.language,
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
                **_from_file(s.path, calibrations),
                "profile": s.profile_id,
                "model": profiles[s.profile_id].model_name if s.profile_id in profiles else None,
                "stale": s.profile_id != profile_id,
                "tokens": s.n_tokens,
                "size_bytes": s.size_bytes,
                "created_at": s.created_at,
                "last_read_at": s.last_read_at,
                "path": str(s.path),
                "hot_copy": _hot_copy(library, s.path),
            }
            for s in state.snapshots
        ],
    }


def _hot_copy(library: Library, snapshot: Path) -> dict[str, Any] | None:
    """The copy of a snapshot that is attached in its place; None when there is none."""
    copy = library.hot.find(snapshot.stem)
    if copy is None:
        return None
    return {"size_bytes": copy.size_bytes, "path": str(library.hot.path(copy.content))}


def _from_file(path: Path, calibrations: CalibrationStore) -> dict[str, Any]:
    """From the file's header; None when the file cannot be used, or needs no calibration."""
    from kvfiles.container import Container
    from kvfiles.errors import SnapshotError, StorageError
    from kvfiles.snapshot import read_header, stored_bits

    try:
        with Container(path) as container:
            header = read_header(container)
            bits, tables = stored_bits(container, header), header.tables_id
    except (SnapshotError, StorageError):
        return {"bits_per_value": None, "calibration": None, "calibration_here": None}
    here = None if tables is None else calibrations.file_of(tables) is not None
    return {"bits_per_value": bits, "calibration": tables, "calibration_here": here}


def _print_details(details: dict[str, Any], console: Console) -> None:
    console.out(details["title"])
    facts = {
        "id": details["id"],
        "state": details["state"],
        "kind": details["media_type"],
        "language": details["language"] or "not stated",
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
            *_calibration_in_words(snapshot),
            f"{snapshot['tokens']:,} tokens",
            bytes_in_words(snapshot["size_bytes"]),
            f"profile {snapshot['profile'][:12]}" + (f" of {snapshot['model']}" if snapshot["model"] else ""),
            "stale" if snapshot["stale"] else "current",
            f"made {moment_in_words(snapshot['created_at'])}",
        )
        console.out(f"  snapshot    {', '.join(parts)}")
        console.out(f"              {snapshot['path']}")
        if copy := snapshot["hot_copy"]:
            read = snapshot["last_read_at"]
            last = f", last read {moment_in_words(read)}" if read is not None else ""
            console.out(
                f"  hot copy    volume {snapshot['volume']}, {bytes_in_words(copy['size_bytes'])}{last}"
            )
    for warning in details["warnings"]:
        console.out(f"  warning     {warning}")


def _calibration_in_words(snapshot: dict[str, Any]) -> tuple[str, ...]:
    if snapshot["calibration"] is None:
        return ()
    lacking = "" if snapshot["calibration_here"] else " (not here: it is read again when it is asked about)"
    return (f"calibration {one_line(snapshot['calibration'])[:12]}{lacking}",)


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
