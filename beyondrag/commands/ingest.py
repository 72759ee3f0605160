"""`beyondrag ingest`: read files into the library, once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from beyondrag.console import Console

if TYPE_CHECKING:
    from beyondrag.estimate import Estimate
    from beyondrag.reading_along import ReadingAlong, ReadingDone, ReadingProgress
    from beyondrag.settings import Settings
    from ingest.outcomes import FileOutcome, IndexReport
    from ingest.parsers.base import Limits
    from library.store import Library

EXIT_INPUT = 4
MAX_WAIT_S = 86_400
MAX_FILE_MB = 20_000

_EPILOG = """examples:
  beyondrag ingest ~/Contracts                 show the plan, ask, read
  beyondrag ingest ~/Contracts --dry-run       only show what would be done
  beyondrag ingest ~/Contracts --codec archive    a quarter of the disk space or less (see below)
  beyondrag ingest report.pdf --index-only     make it searchable; it is read when first asked about
  beyondrag ingest ~/Contracts --prune --yes   also remove what is no longer in the folder
  beyondrag ingest --failed                    list files that could not be read, and what to do
  beyondrag ingest --retry-failed              try all of these again

Inside folders, what .gitignore and .beyondragignore name is left out, and hidden files, node_modules,
__pycache__ and the like; .beyondragignore has the last word (!name takes a file back).
Paths named here are always taken.  Each message of a mailbox (.mbox) is a document of its own.

The archive codecs need the model to be calibrated, which happens before the first reading and takes some
minutes, once.  Ask with the same --codec, or set BEYONDRAG_CODEC.

Stop with Ctrl-C at any time: finished documents are kept, and running the same command goes on."""


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    parser = subparsers.add_parser(
        "ingest",
        help="read files and folders into the library",
        description="Parse whole documents, index them, and read each once with the model.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=parents,
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="a file or a folder")
    parser.add_argument("--dry-run", action="store_true", help="show the plan and change nothing")
    parser.add_argument(
        "--index-only",
        action="store_true",
        help="make documents searchable without reading them with the model",
    )
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask before reading")
    parser.add_argument("--prune", action="store_true", help="remove documents whose files are gone")
    parser.add_argument(
        "--ocr",
        metavar="LANGUAGES",
        default="",
        help="recognise pages that are pictures with the system's tesseract (eng, eng+deu)",
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="try files again that failed before and have not changed"
    )
    parser.add_argument(
        "--failed", action="store_true", help="list the files that could not be read, and change nothing"
    )
    parser.add_argument(
        "--no-ignore",
        action="store_true",
        help="leave nothing out: no ignore files, hidden names or defaults",
    )
    parser.add_argument(
        "--max-size", type=_megabytes, metavar="MB", help="leave out larger files (200; mailboxes: 20,000)"
    )
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="wait this long for another ingest to finish",
    )
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= MAX_WAIT_S:
        raise argparse.ArgumentTypeError(f"must be from 0 to {MAX_WAIT_S:,} seconds")
    return value


def _megabytes(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MAX_FILE_MB:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MAX_FILE_MB:,} megabytes")
    return value


def run(args: argparse.Namespace, console: Console) -> int:
    from beyondrag.commands.ingest_failed import list_failed
    from beyondrag.errors import UsageError
    from beyondrag.settings import settings_from

    if not (args.paths or args.failed or args.retry_failed):
        raise UsageError("names no file or folder", subject="ingest", remedy="beyondrag ingest FOLDER")
    settings = settings_from(args)
    if args.failed:
        return list_failed(args.paths, settings.library, console)
    return _dry_run(args, settings, console) if args.dry_run else _ingest(args, settings, console)


def _limits(args: argparse.Namespace) -> Limits:
    from dataclasses import replace

    from ingest.parsers.base import Limits

    limits = Limits().with_ocr(args.ocr) if args.ocr else Limits()
    if args.max_size is None:
        return limits
    size = args.max_size * 1_000_000
    return replace(limits, max_file_bytes=size, max_container_bytes=size)


# ------------------------------------------------------------------------ the plan alone


def _dry_run(args: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Scan and parse, change nothing: tokens are estimated from characters unless documents are known."""
    from beyondrag.commands.ingest_failed import paths_to_ingest
    from beyondrag.commands.ingest_words import (
        counts_in_words,
        counts_json,
        failure_json,
        print_left_out,
    )
    from beyondrag.estimate import estimate
    from beyondrag.planning import PlannedReading
    from beyondrag.reading import current_profile
    from ingest.indexing import look
    from ingest.outcomes import Tally
    from ingest.scan import scan
    from library.errors import LibraryError
    from library.store import Library

    library: Library | None = None
    try:
        library = Library.open(settings.library)
    except LibraryError as error:
        # Nothing there yet is fine: everything is new.
        if type(error) is not LibraryError or not _is_free(settings.library):
            raise
    try:
        limits = _limits(args)
        found = scan(paths_to_ingest(args.paths, library), limits, no_ignore=args.no_ignore)
        found.require_files()
        tally = Tally()
        planned = PlannedReading(library)
        failures: list[FileOutcome] = []
        for seen in look(library, found.files, retry_failed=args.retry_failed, limits=limits):
            tally.add(seen.outcome)
            planned.add(seen)
            if seen.outcome.failure is not None and seen.outcome.container is None:
                failures.append(seen.outcome)
        failures += [outcome for outcome in tally.member_problems if outcome.failure is not None]
        profile_id = None if library is None else current_profile(library, settings)
        n_chars = sum(planned.unread_chars(profile_id))
        cost = estimate(n_chars, settings, library)
        for warning in cost.warnings:
            console.warn(warning)
        if console.wants_json:
            console.json(
                {
                    "dry_run": True,
                    "files": counts_json(tally.files),
                    "messages": counts_json(tally.members),
                    "skipped": len(found.skipped),
                    "ignored": found.n_ignored(),
                    "estimated_tokens": cost.tokens,
                    "estimated_bytes": cost.size_bytes,
                    "calibration_seconds": None
                    if cost.calibration_s is None
                    else round(cost.calibration_s, 1),
                    "estimated_seconds": None if cost.seconds is None else round(cost.seconds, 1),
                    "failures": [failure_json(outcome) for outcome in failures],
                }
            )
        else:
            console.out(counts_in_words(tally.files, tally.members))
            console.out(_estimate_in_words(cost, n_chars))
            print_left_out(console, found, failures)
    finally:
        if library is not None:
            library.close()
    return 0


def _is_free(folder: Path) -> bool:
    """Whether a library could be made there."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def _estimate_in_words(cost: Estimate, n_chars: int) -> str:
    from beyondrag.quantities import amount_in_words, seconds_in_words

    size = "" if cost.size_bytes is None else f", {amount_in_words(cost.size_bytes, 'bytes')} of snapshots"
    time = "" if cost.seconds is None else f", about {seconds_in_words(cost.seconds)} at the measured rate"
    before = (
        ""
        if cost.calibration_s is None
        else f"; before that the model is calibrated, once: about {seconds_in_words(cost.calibration_s)}"
    )
    return (
        f"to read: about {cost.tokens:,} tokens (estimated from {n_chars:,} characters){size}{time}{before}"
    )


# -------------------------------------------------------------------------------- ingest


def _ingest(args: argparse.Namespace, settings: Settings, console: Console) -> int:
    from beyondrag.commands.ingest_words import summary_json
    from beyondrag.interrupts import interruptible
    from library.store import Library

    with (
        Library.create_or_open(settings.library) as library,
        library.writing(wait_s=args.wait),
        interruptible(lambda: console.note("stopping; press Ctrl-C again to stop at once")) as cancelled,
    ):
        if args.index_only:
            report = _index(args, library, console, cancelled, lambda _document_ids: None)
            summary = summary_json(report)
        else:
            report, summary = _index_and_read(args, settings, library, console, cancelled)
        if console.wants_json:
            console.json(summary)
        return EXIT_INPUT if report.outcomes and not report.document_ids else 0


def _index(
    args: argparse.Namespace,
    library: Library,
    console: Console,
    cancelled: Callable[[], bool],
    on_documents: Callable[[Iterable[str]], None],
) -> IndexReport:
    """Index; `on_documents` hears of documents as soon as they are in the library."""
    from beyondrag.commands.ingest_failed import paths_to_ingest
    from beyondrag.commands.ingest_words import print_report
    from ingest.indexing import index

    with console.progress(None, "files") as progress:

        def on_file(outcome: FileOutcome, done: int, total: int) -> None:
            progress.update(done, total=total, detail=outcome.path.name)
            if outcome.document_id is not None:
                on_documents([outcome.document_id])

        report = index(
            library,
            paths_to_ingest(args.paths, library),
            retry_failed=args.retry_failed,
            prune=args.prune,
            no_ignore=args.no_ignore,
            limits=_limits(args),
            on_file=on_file,
            cancelled=cancelled,
        )
    on_documents(report.document_ids)
    if not console.wants_json:
        print_report(console, report, pruned=args.prune)
    return report


def _index_and_read(
    args: argparse.Namespace,
    settings: Settings,
    library: Library,
    console: Console,
    cancelled: Callable[[], bool],
) -> tuple[IndexReport, dict[str, object]]:
    """Parse and read side by side; where someone is asked first, the model is opened and counts meanwhile."""
    from beyondrag.codec_choice import lacks_calibration
    from beyondrag.commands.ingest_words import summary_json
    from beyondrag.reading_along import ReadingAlong, Told

    ask = console.interactive and not args.yes
    at_once = not ask and not lacks_calibration(settings)  # which is planned and shown before it begins
    told = Told(calibrated=lambda warnings: _tell_calibrated(warnings, console))
    with ReadingAlong(settings, cancelled, at_once=at_once, told=told) as reading:
        report = _index(args, library, console, cancelled, reading.offer)
        summary = summary_json(report)
        read = _read(reading, console, ask=ask, is_empty=not report.document_ids)
    return report, summary if read is None else summary | {"read": read}


def _tell_calibrated(warnings: tuple[str, ...], console: Console) -> None:
    for warning in warnings:
        console.warn(warning)
    if not warnings and not console.wants_json:
        console.note("the model is calibrated")


def _read(reading: ReadingAlong, console: Console, *, ask: bool, is_empty: bool) -> dict[str, object] | None:
    """What was read, or None when the user did not want to."""
    from beyondrag.quantities import amount_in_words, seconds_in_words

    plan = reading.plan()
    for warning in plan.warnings:
        console.warn(warning)
    if not plan.relocatable:
        console.warn(
            "snapshots of this model work only as the first document; others are read again for each question"
        )
    if not plan.n_volumes:
        if not console.wants_json and not is_empty:
            console.out("everything is read; nothing to do")
        return {"volumes": 0, "tokens": 0, "seconds": 0.0, "size_bytes": 0}
    if not console.wants_json:
        console.out(
            f"to read: {plan.n_volumes} volumes, {plan.n_tokens:,} tokens, "
            f"{amount_in_words(plan.size_bytes, 'bytes')} of snapshots, "
            f"about {seconds_in_words(plan.n_tokens / plan.tokens_per_s)} at {plan.tokens_per_s:.0f} tokens/s"
        )
        if plan.calibration_s is not None:
            console.out(
                f"before that the model is calibrated, once: about {seconds_in_words(plan.calibration_s)}"
            )
    if ask and not console.confirm("Read them now?"):
        console.note("indexed, not read: a document is read when it is first needed")
        return None
    done = _finish(reading, plan.n_tokens, console)
    if not console.wants_json:
        console.out(
            f"read {done.n_volumes} volumes, {done.n_tokens:,} tokens in {seconds_in_words(done.seconds)} "
            f"({done.n_tokens / max(done.seconds, 1e-9):.0f} tokens/s); "
            f"snapshots {amount_in_words(done.size_bytes, 'bytes')}"
        )
    return {
        "volumes": done.n_volumes,
        "tokens": done.n_tokens,
        "seconds": round(done.seconds, 3),
        "size_bytes": done.size_bytes,
    }


def _finish(reading: ReadingAlong, n_tokens: int, console: Console) -> ReadingDone:
    """Read the rest, with a bar."""
    from beyondrag.calibration.running import SCALE

    with console.progress(n_tokens, "tokens") as progress:
        last = ""

        def on_progress(state: ReadingProgress) -> None:
            nonlocal last
            name = state.pending.document.name
            if state.pending.n_volumes > 1:
                name += f" ({state.pending.volume.label})"
            if name != last and not console.wants_json:
                progress.note(
                    f"[{state.index + 1}/{state.n_pending}] {name}: {state.pending.volume.n_tokens:,} tokens"
                )
                last = name
            progress.update(state.done_tokens, total=state.total_tokens, detail=name)

        def on_calibrating(done: float, what: str) -> None:
            progress.update(0, detail=f"calibrating the model, {done / SCALE:.0%}: {what}")

        return reading.finish(on_progress, on_calibrating)
