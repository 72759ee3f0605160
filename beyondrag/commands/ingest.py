"""`beyondrag ingest`: read files into the library, once."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from beyondrag.console import Console

if TYPE_CHECKING:
    from beyondrag.engine import Engine
    from beyondrag.estimate import Estimate
    from beyondrag.settings import Settings
    from ingest.outcomes import FileOutcome, IndexReport
    from ingest.parsers.base import Limits
    from ingest.pipeline import PendingVolume
    from library.store import Library

EXIT_INPUT = 4
MAX_WAIT_S = 86_400
MAX_FILE_MB = 20_000

_EPILOG = """examples:
  beyondrag ingest ~/Contracts                 show the plan, ask, read
  beyondrag ingest ~/Contracts --dry-run       only show what would be done
  beyondrag ingest report.pdf --index-only     make it searchable; it is read when first asked about
  beyondrag ingest ~/Contracts --prune --yes   also remove what is no longer in the folder
  beyondrag ingest --failed                    list files that could not be read, and what to do
  beyondrag ingest --retry-failed              try all of these again

Inside folders, what .gitignore and .beyondragignore name is left out, and hidden files, node_modules,
__pycache__ and the like; .beyondragignore has the last word (!name takes a file back).
Paths named here are always taken.  Each message of a mailbox (.mbox) is a document of its own.

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
    from ingest.indexing import FileState, look
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
        n_chars = 0
        failures: list[FileOutcome] = []
        for seen in look(library, found.files, retry_failed=args.retry_failed, limits=limits):
            tally.add(seen.outcome)
            if seen.outcome.failure is not None:
                failures.append(seen.outcome)
            elif seen.parsed is not None and seen.outcome.state in (FileState.NEW, FileState.CHANGED):
                n_chars += len(seen.parsed.text.text)
        cost = estimate(n_chars, settings, library)
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
    return f"to read: about {cost.tokens:,} tokens (estimated from {n_chars:,} characters){size}{time}"


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
        report = _index(args, library, console, cancelled)
        summary = summary_json(report)
        if not args.index_only:
            read = _read(args, settings, library, report, console, cancelled)
            if read is not None:
                summary["read"] = read
        if console.wants_json:
            console.json(summary)
        return EXIT_INPUT if report.outcomes and not report.document_ids else 0


def _index(
    args: argparse.Namespace, library: Library, console: Console, cancelled: Callable[[], bool]
) -> IndexReport:
    from beyondrag.commands.ingest_failed import paths_to_ingest
    from beyondrag.commands.ingest_words import print_report
    from ingest.indexing import index

    with console.progress(None, "files") as progress:

        def on_file(outcome: FileOutcome, done: int, total: int) -> None:
            progress.update(done, total=total, detail=outcome.path.name)

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
    if not console.wants_json:
        print_report(console, report, pruned=args.prune)
    return report


def _read(
    args: argparse.Namespace,
    settings: Settings,
    library: Library,
    report: IndexReport,
    console: Console,
    cancelled: Callable[[], bool],
) -> dict[str, object] | None:
    """What was read, or None when the user did not want to."""
    from beyondrag.engine import Engine
    from beyondrag.reading import profile_for
    from ingest.pipeline import pending_volumes, unread_documents

    _, profile = profile_for(settings)
    unread = unread_documents(library, report.document_ids, profile.id)
    if not unread:
        if not console.wants_json and report.document_ids:
            console.out("everything is read; nothing to do")
        return {"volumes": 0, "tokens": 0, "seconds": 0.0, "size_bytes": 0}
    with Engine(settings, library) as engine:
        facts = engine.prepare()
        for warning in engine.warnings:
            console.warn(warning)
        if not facts.relocatable:
            console.warn(
                "snapshots of this model work only as the first document; "
                "others are read again for each question"
            )
        pending = pending_volumes(library, unread, engine.profile, engine.reader)
        tokens = sum(item.volume.n_tokens for item in pending)
        plan = _plan_in_words(engine, pending, tokens, facts.tokens_per_s)
        if not console.wants_json:
            console.out(plan)
        if not args.yes and console.interactive and not console.confirm("Read them now?"):
            console.note("indexed, not read: a document is read when it is first needed")
            return None
        return _read_pending(engine, library, pending, tokens, console, cancelled)


def _plan_in_words(engine: Engine, pending: list[PendingVolume], tokens: int, rate: float) -> str:
    from beyondrag.quantities import amount_in_words, seconds_in_words

    shape = engine.model.shape
    bits = engine.bits_per_value(max(tokens, 1))
    size = round(tokens * shape.values_per_token * bits / 8)
    return (
        f"to read: {len(pending)} volumes, {tokens:,} tokens, {amount_in_words(size, 'bytes')} of snapshots, "
        f"about {seconds_in_words(tokens / rate)} at {rate:.0f} tokens/s"
    )


def _read_pending(
    engine: Engine,
    library: Library,
    pending: list[PendingVolume],
    tokens: int,
    console: Console,
    cancelled: Callable[[], bool],
) -> dict[str, object]:
    import time

    from ingest.pipeline import ReadingProgress, read_all

    started = time.perf_counter()
    with console.progress(tokens, "tokens") as progress:
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

        done = read_all(
            library,
            pending,
            engine.profile,
            engine.reader,
            on_progress=on_progress,
            cancelled=cancelled,
        )
    seconds = time.perf_counter() - started
    records = [library.snapshot(p.document.id, p.volume.ordinal, engine.profile.id) for p in pending]
    size = sum(record.size_bytes for record in records if record is not None)
    if not console.wants_json:
        from beyondrag.quantities import amount_in_words, seconds_in_words

        console.out(
            f"read {len(pending)} volumes, {done:,} tokens in {seconds_in_words(seconds)} "
            f"({done / max(seconds, 1e-9):.0f} tokens/s); snapshots {amount_in_words(size, 'bytes')}"
        )
    return {"volumes": len(pending), "tokens": done, "seconds": round(seconds, 3), "size_bytes": size}
