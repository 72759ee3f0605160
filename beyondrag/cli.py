"""The command line: parses, runs one command, and turns whatever goes wrong into words and an exit code."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from beyondrag.commands import app as app_command
from beyondrag.commands import ask as ask_command
from beyondrag.commands import doctor as doctor_command
from beyondrag.commands import ingest as ingest_command
from beyondrag.commands import inspect as inspect_command
from beyondrag.commands import library as library_command
from beyondrag.commands import models as models_command
from beyondrag.commands import watch as watch_command
from beyondrag.console import Console
from beyondrag.errors import UsageError
from beyondrag.failures import internal_error
from beyondrag.settings import DEFAULT_CONTEXT
from beyondrag.terminal_text import escaped
from kvfiles.errors import BeyondragError, Cancelled

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_DESCRIPTION = "Answers questions over whole documents, offline: each document is read once and kept read."
_EPILOG = """\
examples:
  beyondrag                                  open the app
  beyondrag models pull                      fetch the default model (1.1 GB)
  beyondrag ingest ~/Documents/reports       read a folder
  beyondrag ask "Who signed the agreement?"  ask about it
  beyondrag library list                     what has been read
  beyondrag watch ~/Documents/reports        read what comes and changes there
  beyondrag doctor                           is everything in order?
  beyondrag eval --help                      measure answers, hallucinations and compression

environment:
  BEYONDRAG_LIBRARY, BEYONDRAG_MODELS        folders of the library and of the models
  BEYONDRAG_MODEL                            name or path of the model
  BEYONDRAG_CODEC                            how snapshots are stored: exact, kXvY such as k4v4, archive
  BEYONDRAG_HOT_CACHE                        most that hot copies of archives may take: 2GB; 0 for none
  BEYONDRAG_CACHE_TYPE                       llama.cpp's own cache: f16 or q8_0
  BEYONDRAG_GPU_LAYERS                       layers on a GPU, where llama-cpp-python was built for one
  NO_COLOR                                   set to anything: no colours
  An option on the command line comes before the environment.

exit codes:
  0 done, answered       1 failed               2 wrong usage
  3 the documents do not answer                 4 input files cannot be read
  5 model                6 library or snapshot  7 storage
  130 stopped by the user; finished work is kept
"""
_STOPPED = "stopped; finished work is kept"

_COMMANDS = (
    app_command,
    ingest_command,
    ask_command,
    models_command,
    library_command,
    inspect_command,
    watch_command,
    doctor_command,
)
"""In the order of the help."""

_NOT_GIVEN = {
    "run": None,
    "library": None,
    "model": None,
    "codec": None,
    "hot_cache": None,
    "context": None,
    "threads": None,
    "json": False,
    "verbose": False,
    "no_color": False,
}

Run = Callable[[argparse.Namespace, Console], int]


class _Parser(argparse.ArgumentParser):
    """Complains with a UsageError and leaves the examples in the help as they are written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, remedy=f"{self.prog} --help")

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Unlike argparse's own, tells when the output is full."""
        (file or sys.stdout).write(self.format_help())


def build_parser() -> argparse.ArgumentParser:
    """The whole command line.

    Common options work before and after the command: a parser leaves out what was not given, so that
    the parser of a command does not undo what stood before it.  `_NOT_GIVEN` fills the gaps.
    """
    common = _common_options()
    parser = _Parser(prog="beyondrag", description=_DESCRIPTION, epilog=_EPILOG, parents=[common])
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for command in _COMMANDS:
        command.add_parser(subparsers, [common])
    _add_eval(subparsers)
    return parser


def _add_eval(subparsers: argparse._SubParsersAction[_Parser]) -> None:
    """`eval` reads its own arguments; here it is only named in the help (see `_run`)."""
    parser = subparsers.add_parser("eval", help="measure answers, hallucinations and compression")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="a suite and its options")
    parser.set_defaults(run=_misplaced_options)


def _misplaced_options(_args: argparse.Namespace, _console: Console) -> int:
    raise UsageError("options of eval come after it", remedy="beyondrag eval --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `beyondrag` with these arguments (those of the process when None); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    console = Console(wants_json="--json" in arguments, color="--no-color" not in arguments)
    try:
        code = _guarded(lambda: _run(arguments, console), console)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone, which is no failure; nothing more can be said there.
        _silence(sys.stdout)
        return 0
    except OSError as error:
        _silence(sys.stdout)
        failure = internal_error(error)
        with suppress(OSError):
            Console(color="--no-color" not in arguments).error(failure)
        return failure.exit_code
    return code


def _run(arguments: list[str], console: Console) -> int:
    if arguments[:1] == ["eval"]:
        from eval.cli import main as run_eval

        return run_eval(arguments[1:])
    parser = build_parser()
    try:
        args = parser.parse_args(arguments, argparse.Namespace(**_NOT_GIVEN))
    except SystemExit as stop:  # --help and --version
        return int(stop.code or 0)
    if args.run is None and (args.json or not app_command.fits_the_terminal()):
        parser.print_help()
        return UsageError.exit_code
    run: Run = args.run or app_command.run
    console = Console(wants_json=args.json, verbose=args.verbose, color=not args.no_color)
    with _logging(sys.stderr, verbose=args.verbose):
        return _guarded(lambda: run(args, console), console)


def _guarded(action: Callable[[], int], console: Console) -> int:
    """`action`, with every failure told in words."""
    try:
        return action()
    except BrokenPipeError:
        raise
    except (Cancelled, KeyboardInterrupt) as stop:
        return _stopped(stop, console)
    except BeyondragError as error:
        failure = error
    except Exception as error:
        failure = internal_error(error)
    console.error(failure)
    return failure.exit_code


def _stopped(stop: BaseException, console: Console) -> int:
    console.note("")
    console.note(_STOPPED)
    if isinstance(stop, Cancelled) and stop.remedy:
        console.note(f"  try: {stop.remedy}")
    if console.wants_json:
        console.json({"error": {"type": "Cancelled", "message": _STOPPED, "exit_code": Cancelled.exit_code}})
    return Cancelled.exit_code


def _common_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    group = options.add_argument_group("common options")
    group.add_argument(
        "--library", metavar="DIR", help="folder of the library (default: the user's data folder)"
    )
    group.add_argument(
        "--model", metavar="NAME_OR_PATH", help="model to use: a name of `models list`, or a .gguf"
    )
    group.add_argument(
        "--codec",
        metavar="NAME",
        help="how snapshots are stored: exact, k4v4 ..., archive, archive-fine, archive-small, archive@G",
    )
    group.add_argument(
        "--hot-cache",
        metavar="SIZE",
        help="most that hot copies of archives, which attach faster, may take (default 1GB; 0: none)",
    )
    group.add_argument(
        "--context",
        metavar="TOKENS",
        type=_count,
        help=f"size of the model's context (default {DEFAULT_CONTEXT})",
    )
    group.add_argument("--threads", metavar="N", type=_count, help="CPU threads (default: all cores)")
    group.add_argument("--json", action="store_true", help="write one JSON object to stdout")
    group.add_argument("--verbose", action="store_true", help="write the log, llama.cpp's too, to stderr")
    group.add_argument("--no-color", action="store_true", help="no colours")
    return options


def _count(text: str) -> int:
    """A whole number; `settings_from` knows the limits."""
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number")
    return int(text)


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:  # noqa: A002 - argparse passes it by this name
        super().__init__(option_strings, dest=argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"beyondrag {version('beyondrag')}")
        parser.exit()


class _PlainFormatter(logging.Formatter):
    """Log lines that cannot act on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format(record), keep="\n")


@contextmanager
def _logging(stream: TextIO, *, verbose: bool) -> Iterator[None]:
    """Inside the block the log goes to `stream`, or nowhere."""
    root = logging.getLogger()
    handler: logging.Handler = logging.StreamHandler(stream) if verbose else logging.NullHandler()
    handler.setFormatter(_PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = root.level
    root.addHandler(handler)
    if verbose:
        root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def _silence(stream: TextIO) -> None:
    """Let nothing more be written to `stream`, so that the interpreter does not complain at its end."""
    with suppress(OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)
