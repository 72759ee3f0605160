"""`beyondrag library export` and `beyondrag library import`: carry what was read to another machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beyondrag.commands.library.details import DOC_HELP
from beyondrag.console import Console
from beyondrag.quantities import bytes_in_words
from beyondrag.settings import settings_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from library.archive.importing import ImportReport

_EXPORT_EXAMPLES = """\
The file holds texts, snapshots and the calibrations that snapshots in the archive codec need; the search
index is made again where it is imported.

examples:
  beyondrag library export /media/disk/library.tar
  beyondrag library export one.tar --doc handbook.pdf --doc "Annual report 2025"
  beyondrag library export small.tar --current
"""
_IMPORT_EXAMPLES = """\
Every part is checked.  What the library holds already stays as it is; running the same import again
goes on where it stopped.

examples:
  beyondrag library import /media/disk/library.tar
  beyondrag library import library.tar --library ~/new-library
"""
_SHOWN = 50
_MAX_WAIT_S = 86_400


def add_actions(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Describe the actions of this module."""
    exporting = actions.add_parser(
        "export",
        parents=parents,
        help="write documents with their snapshots to one file",
        epilog=_EXPORT_EXAMPLES,
        description="Write documents with their texts and snapshots to one file, to carry them elsewhere.",
    )
    exporting.add_argument("file", type=Path, metavar="FILE", help="the archive to write")
    exporting.add_argument(
        "--doc",
        action="append",
        metavar="DOC",
        help=f"only this document ({DOC_HELP}); may be given several times",
    )
    exporting.add_argument(
        "--current", action="store_true", help="only snapshots that fit the configured model and codec"
    )
    exporting.add_argument("--overwrite", action="store_true", help="write over FILE if it exists")
    exporting.set_defaults(run=_export)

    importing = actions.add_parser(
        "import",
        parents=parents,
        help="take over documents from such a file",
        epilog=_IMPORT_EXAMPLES,
        description="Take over documents with their texts and snapshots from an exported file.",
    )
    importing.add_argument("file", type=Path, metavar="FILE", help="the archive to read")
    importing.add_argument(
        "--wait", type=_seconds, default=0.0, metavar="SECONDS", help="wait this long for an ingest to finish"
    )
    importing.set_defaults(run=_import)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= _MAX_WAIT_S:
        raise argparse.ArgumentTypeError(f"must be from 0 to {_MAX_WAIT_S:,} seconds")
    return value


# -------------------------------------------------------------------------------- export


def _export(args: argparse.Namespace, console: Console) -> int:
    from beyondrag.calibration.store import CalibrationStore
    from beyondrag.interrupts import interruptible
    from beyondrag.reading import profile_for
    from library.archive.exporting import Selection
    from library.store import Library
    from library.upkeep import Upkeep

    settings = settings_from(args)
    profiles = [profile_for(settings)[1].id] if args.current else None
    with (
        Library.open(settings.library) as library,
        interruptible(lambda: console.note("stopping; nothing will be exported")) as cancelled,
        console.progress(None, "bytes") as progress,
    ):
        chosen = None if args.doc is None else [library.find(name).id for name in args.doc]
        report = Upkeep(library, CalibrationStore(settings.models)).export(
            args.file,
            Selection(chosen, profiles),
            overwrite=args.overwrite,
            on_bytes=lambda done, total: progress.update(done, total=max(done, total)),
            cancelled=cancelled,
        )
    if console.wants_json:
        console.json(
            {
                "file": str(args.file),
                "documents": report.n_documents,
                "snapshots": report.n_snapshots,
                "size_bytes": report.size_bytes,
                "left_out": list(report.left_out),
            }
        )
        return 0
    _warn_all(report.left_out, console)
    console.out(
        f"exported {report.n_documents:,} documents and {report.n_snapshots:,} snapshots: "
        f"{args.file} ({bytes_in_words(report.size_bytes)})"
    )
    return 0


# -------------------------------------------------------------------------------- import


def _import(args: argparse.Namespace, console: Console) -> int:
    from beyondrag.calibration.store import CalibrationStore
    from beyondrag.interrupts import interruptible
    from beyondrag.reading import current_profile
    from kvfiles.errors import BeyondragError
    from library.archive.importing import ImportReport, read_manifest
    from library.store import Library
    from library.upkeep import Upkeep

    settings = settings_from(args)
    read_manifest(args.file)  # what is no archive must not leave a new library behind
    report = ImportReport()
    with Library.create_or_open(settings.library) as library:
        current = current_profile(library, settings)
        try:
            with (
                interruptible(
                    lambda: console.note("stopping; press Ctrl-C again to stop at once")
                ) as cancelled,
                console.progress(None, "bytes") as progress,
            ):
                Upkeep(library, CalibrationStore(settings.models)).import_from(
                    args.file,
                    report,
                    wait_s=args.wait,
                    on_bytes=lambda done, total: progress.update(done, total=total),
                    cancelled=cancelled,
                )
        except (BeyondragError, KeyboardInterrupt):
            if report.n_documents and not console.wants_json:
                _tell_import(report, current, settings.model, console)
            raise
    if console.wants_json:
        console.json(_import_json(report, current))
    else:
        _tell_import(report, current, settings.model, console)
    return 0


def _import_json(report: ImportReport, current: str | None) -> dict[str, Any]:
    return {
        "added": report.added,
        "completed": report.completed,
        "known": report.known,
        "superseded": report.superseded,
        "refused": report.refused,
        "calibrations": report.calibrations,
        "snapshots": sum(report.snapshots.values()),
        "profiles": [
            {
                "id": profile.id,
                "model": profile.model_name,
                "codec": profile.description.get("codec"),
                "matches": profile.id == current,
                "snapshots": report.snapshots[profile.id],
            }
            for profile in report.profiles
        ],
    }


def _tell_import(report: ImportReport, current: str | None, model: str, console: Console) -> None:
    _warn_all(report.refused, console)
    _warn_all(
        [f"{path}: the library holds another version of it, which stays" for path in report.superseded],
        console,
    )
    console.out(
        f"imported {report.added:,} new documents; {report.completed:,} known ones were completed, "
        f"{report.known:,} had everything"
    )
    for profile in report.profiles:
        codec = profile.description.get("codec")
        fits = "fit the configured model" if profile.id == current else "do not fit the configured model"
        console.out(
            f"  {report.snapshots[profile.id]:,} snapshots of {profile.model_name}"
            + (f" ({codec})" if isinstance(codec, str) else "")
            + f": they {fits}"
        )
    if report.profiles and current not in {profile.id for profile in report.profiles}:
        made_with = ", ".join(profile.model_name for profile in report.profiles)
        console.warn(
            f"no snapshot fits the configured model {model}: documents are read again when they are asked "
            f"about.  They were read with {made_with}; choose it with --model (and BEYONDRAG_CODEC)"
        )


def _warn_all(sentences: Sequence[str], console: Console) -> None:
    for sentence in sentences[:_SHOWN]:
        console.warn(sentence)
    if len(sentences) > _SHOWN:
        console.warn(f"and {len(sentences) - _SHOWN:,} more of this kind")
