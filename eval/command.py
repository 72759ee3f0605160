"""What the measuring commands share: model argument, progress, errors instead of tracebacks."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from beyondrag.models import DEFAULT_MODEL, ModelStore, default_root
from eval.rig import default_threads
from kvfiles.container import storage_error
from kvfiles.errors import BeyondragError, Cancelled

Progress = Callable[[str], None]


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """--model and --threads."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="name of a pulled model or path of a GGUF (default: %(default)s)",
    )
    parser.add_argument(
        "--threads", type=positive, default=default_threads(), help="threads to use (default: %(default)s)"
    )


def resolve_model(name_or_path: str) -> Path:
    """The GGUF file; raises ModelNotFound or ModelFileError."""
    return ModelStore(default_root()).resolve(name_or_path)


def positive(text: str) -> int:
    """An argparse type: an integer above 0."""
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def comma_list(text: str) -> tuple[str, ...]:
    """An argparse type: words with commas between; nothing gives an empty tuple."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def say(message: str) -> None:
    """Progress, on stderr: stdout belongs to the table and the JSON line."""
    print(message, file=sys.stderr, flush=True)


def silent(_message: str) -> None:
    """No progress."""


def run_command(command: Callable[[], None]) -> int:
    """Run `command`; errors are printed in one line and become the exit code."""
    try:
        command()
    except BeyondragError as error:
        say(f"error: {error}")
        return error.exit_code
    except OSError as error:  # no room for temporary files, most likely
        problem = storage_error(error, Path(str(error.filename or tempfile.gettempdir())))
        say(f"error: {problem}")
        return problem.exit_code
    except KeyboardInterrupt:
        say("stopped")
        return Cancelled.exit_code
    return 0
