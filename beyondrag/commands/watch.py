"""`beyondrag watch`: keep the library up to date with folders while they change."""

from __future__ import annotations

import argparse
from pathlib import Path

from beyondrag.console import Console

DEFAULT_INTERVAL_S = 5.0
MAX_INTERVAL_S = 86_400.0

_EPILOG = """examples:
  beyondrag watch ~/Contracts                  read what comes and changes, until Ctrl-C
  beyondrag watch ~/Contracts ~/Mail --index-only
  beyondrag watch ~/Contracts --interval 60    look once a minute
  beyondrag watch ~/Contracts --once           bring it up to date and end

A file is taken once it has rested for two seconds.  A renamed file keeps its snapshot.  A deleted
file is marked; its document stays until `beyondrag ingest FOLDER --prune`.
Stop with Ctrl-C at any time: finished documents are kept."""


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "watch",
        help="read what comes and changes in folders, until Ctrl-C",
        description="Keep the library up to date with folders while they change.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=parents,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FOLDER", help="a folder, or a file")
    parser.add_argument(
        "--index-only",
        action="store_true",
        help="make documents searchable without reading them with the model",
    )
    parser.add_argument(
        "--interval",
        type=_seconds,
        default=DEFAULT_INTERVAL_S,
        metavar="SECONDS",
        help="least time between two looks (default %(default)g)",
    )
    parser.add_argument("--once", action="store_true", help="end when everything is up to date")
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.1 <= value <= MAX_INTERVAL_S:
        raise argparse.ArgumentTypeError(f"must be from 0.1 to {MAX_INTERVAL_S:,.0f} seconds")
    return value


def run(args: argparse.Namespace, console: Console) -> int:
    """The command: 0 at the end of `--once`, 130 when it was stopped."""
    from beyondrag.interrupts import interruptible
    from beyondrag.reading import profile_for
    from beyondrag.settings import settings_from
    from beyondrag.watching.session import Session
    from beyondrag.watching.watcher import Watcher
    from ingest.scan import scan
    from library.store import Library

    settings = settings_from(args)
    scan(args.paths)  # a misspelt folder ends it now; one that goes away later does not
    if not args.index_only:
        profile_for(settings)  # and so does a model that is not there
    with (
        Library.create_or_open(settings.library) as library,
        interruptible(lambda: console.note("stopping; press Ctrl-C again to stop at once")) as cancelled,
    ):
        watcher = Watcher(library, args.paths, interval_s=args.interval, cancelled=cancelled)
        reads = None if args.index_only else settings
        return Session(reads, watcher, console, cancelled, once=args.once).run()
