"""`beyondrag library verify` and `beyondrag library gc`: check, mend, clear away."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from beyondrag.console import Console
from beyondrag.quantities import bytes_in_words, counted
from beyondrag.settings import settings_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from library.integrity import Finding, RepairReport, Verdict
    from library.upkeep import Upkeep

_VERIFY_EXAMPLES = """\
Compares catalogue, texts, search index and snapshots with one another.  Without --repair nothing is
changed.  Exit code 6 when something is wrong, or still wrong after --repair.

--repair builds the search index again from the catalogue, drops damaged snapshots, so that the next
ingest makes them again, and damaged hot copies, and drops a document with a damaged text if the file
with its very bytes is still there to be ingested again.  It tells everything that it removed.

examples:
  beyondrag library verify
  beyondrag library verify --deep --json
  beyondrag library verify --deep --repair
"""
_GC_EXAMPLES = """\
Removes snapshot files that no document refers to, hot copies of them, left-over temporary files and
old search indices.  Hot copies that are in use stay; --hot-cache 0 with ask or ingest removes them.
Waits for nobody: while an ingest is running it refuses.

examples:
  beyondrag library gc --dry-run
  beyondrag library gc
"""
_FINDINGS = 6
_SHOWN = 200


def add_actions(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Describe the actions of this module."""
    verifying = actions.add_parser(
        "verify",
        parents=parents,
        help="check everything",
        epilog=_VERIFY_EXAMPLES,
        description="Check that catalogue, texts, search index and snapshots fit together.",
    )
    verifying.add_argument("--deep", action="store_true", help="read every snapshot and check its checksums")
    verifying.add_argument("--repair", action="store_true", help="mend what can be mended")
    verifying.set_defaults(run=_verify)

    collecting = actions.add_parser(
        "gc",
        parents=parents,
        help="remove left-over files",
        epilog=_GC_EXAMPLES,
        description="Remove files of the library that nothing refers to.",
    )
    collecting.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    collecting.set_defaults(run=_gc)


# -------------------------------------------------------------------------------- verify


def _verify(args: argparse.Namespace, console: Console) -> int:
    from beyondrag.calibration.store import CalibrationStore
    from library.store import Library
    from library.upkeep import Upkeep

    settings = settings_from(args)
    with Library.open(settings.library) as library:
        upkeep = Upkeep(library, CalibrationStore(settings.models))
        if args.repair:
            return _tell_repair(_repaired(upkeep, args.deep, console), library.count(), console)
        return _tell_verdict(_checked(upkeep, args.deep, console), console)


def _checked(upkeep: Upkeep, deep: bool, console: Console) -> Verdict:
    with console.progress(None, "checked") as progress:
        return upkeep.verify(
            deep=deep,
            on_document=lambda n: progress.update(n, detail="documents"),
            on_snapshot=lambda n: progress.update(n, detail="snapshots"),
        )


def _repaired(upkeep: Upkeep, deep: bool, console: Console) -> RepairReport:
    with console.progress(None, "checked") as progress:
        return upkeep.repair(
            deep=deep,
            on_document=lambda n: progress.update(n, detail="documents"),
            on_snapshot=lambda n: progress.update(n, detail="snapshots"),
        )


def _tell_verdict(verdict: Verdict, console: Console) -> int:
    if console.wants_json:
        console.json(
            {
                "ok": verdict.sound,
                "deep": verdict.deep,
                "documents": verdict.n_documents,
                "snapshots": verdict.n_snapshots,
                "findings": _findings_json(verdict.findings),
            }
        )
    else:
        _print_findings(verdict.findings, console)
        checked = f"{counted(verdict.n_documents, 'document')} and {counted(verdict.n_snapshots, 'snapshot')}"
        how = "" if verdict.deep else ", of snapshots existence and size (--deep reads them)"
        console.note(f"{checked} checked{how}: {_n_findings(verdict.findings)}")
        if verdict.findings:
            console.note("  try: beyondrag library verify --deep --repair")
    return _FINDINGS if verdict.findings else 0


def _tell_repair(report: RepairReport, n_documents: int, console: Console) -> int:
    if console.wants_json:
        console.json(
            {
                "ok": not report.left,
                "documents": n_documents,
                "found": _findings_json(report.found),
                "done": list(report.done),
                "ingest_again": list(report.again),
                "findings": _findings_json(report.left),
            }
        )
        return _FINDINGS if report.left else 0
    _print_findings(report.found, console)
    for sentence in report.done[:_SHOWN]:
        console.out(f"repaired: {sentence}")
    if len(report.done) > _SHOWN:
        console.out(f"repaired: {len(report.done) - _SHOWN} more of this kind")
    for path in report.again:
        console.out(f"to ingest again: {path}")
    if report.left:
        console.out("still wrong:")
        _print_findings(report.left, console)
    console.note(f"{counted(n_documents, 'document')}, {_n_findings(report.left)} left")
    return _FINDINGS if report.left else 0


def _print_findings(findings: Sequence[Finding], console: Console) -> None:
    for finding in findings[:_SHOWN]:
        console.out(finding.text)
    if len(findings) > _SHOWN:
        console.out(f"and {len(findings) - _SHOWN:,} more; --json gives them all")


def _n_findings(findings: Sequence[Finding]) -> str:
    return counted(len(findings), "finding") if findings else "no findings"


def _findings_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [{"harm": str(f.harm), "text": f.text, "subject": f.subject} for f in findings]


# ------------------------------------------------------------------------------------ gc


def _gc(args: argparse.Namespace, console: Console) -> int:
    from library.store import Library
    from library.upkeep import Upkeep

    with Library.open(settings_from(args).library) as library:
        report = Upkeep(library).collect_garbage(keep=args.dry_run)
        left_over = [(left, str(left.path)) for left in (*report.files, *report.index_builds)]
    if console.wants_json:
        console.json(
            {
                "dry_run": args.dry_run,
                "files": [{"path": path, "size_bytes": left.size_bytes} for left, path in left_over],
                "size_bytes": report.size_bytes,
            }
        )
        return 0
    for left, path in left_over[:_SHOWN]:
        console.out(f"{path} ({bytes_in_words(left.size_bytes)})")
    done = "would be removed" if args.dry_run else "removed"
    console.note(f"{len(left_over) or 'no'} left-over files {done}, {bytes_in_words(report.size_bytes)}")
    return 0
