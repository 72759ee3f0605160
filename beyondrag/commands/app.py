"""`beyondrag app`: the terminal app; also what `beyondrag` without arguments opens in a terminal."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TextIO

from beyondrag.console import Console
from beyondrag.errors import UsageError

_EPILOG = """examples:
  beyondrag app
  beyondrag app --library ~/reports-library --context 32768

Without a command, `beyondrag` opens the app when it runs in a terminal.  f1 shows every key."""


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "app",
        help="open the terminal app: ask, check sources, read folders",
        description="Ask a folder of documents anything, watch what is read, check every source.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=parents,
    )
    parser.set_defaults(run=run)


def fits_the_terminal() -> bool:
    """Whether the app could be shown: it reads from stdin and draws on stderr."""
    return os.environ.get("TERM") != "dumb" and all(
        _is_terminal(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Open the app; returns when it was left and everything has stopped."""
    if args.json or args.verbose:
        raise UsageError(
            "the app and the log or JSON cannot share a terminal",
            subject="--json" if args.json else "--verbose",
            remedy='beyondrag ask "..." takes these options',
        )
    if not fits_the_terminal():
        raise UsageError("the app needs a terminal", remedy="beyondrag --help shows the other commands")
    from beyondrag.service.service import EngineService
    from beyondrag.settings import settings_from
    from beyondrag.tui.app import BeyondragApp
    from beyondrag.tui.config import config_path, load_config
    from beyondrag.tui.running import run_app

    service = EngineService(settings_from(args))
    if args.no_color:
        os.environ["NO_COLOR"] = "1"  # this is how Textual is told
    return run_app(BeyondragApp(service, load_config(config_path())))


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
