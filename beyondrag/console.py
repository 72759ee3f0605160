"""What commands say: results on stdout, everything else on stderr, always as plain text.

Nothing that is printed is markup, and no control character reaches the terminal: names of files,
texts of documents and answers of models are hostile input.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import orjson

from beyondrag.errors import UsageError
from beyondrag.progress import BarProgress, LineProgress, Progress
from beyondrag.terminal_text import escaped
from kvfiles.errors import BeyondragError

_RED, _YELLOW, _RESET = "\x1b[31m", "\x1b[33m", "\x1b[0m"


class Console:
    """Where a command writes.

    Args:
        wants_json: the caller asked for JSON: the command writes one object with `json` and no `out`.
        verbose: the caller asked for more.
        color: False for none; colours also need a terminal and an empty NO_COLOR.
    """

    def __init__(
        self,
        *,
        wants_json: bool = False,
        verbose: bool = False,
        color: bool = True,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        stdin: TextIO | None = None,
    ) -> None:
        self.wants_json = wants_json
        self.verbose = verbose
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._stdin = stdin or sys.stdin
        self._allows_color = color and not os.environ.get("NO_COLOR")
        self._progress: Progress | None = None
        self._lock = threading.RLock()

    # -- results: stdout

    def out(self, text: str = "") -> None:
        """One line; a line break inside, as in a file's name, is escaped."""
        self._write(self._stdout, escaped(text) + "\n")

    def block(self, text: str) -> None:
        """Text of several lines."""
        self._write(self._stdout, escaped(text.expandtabs(4), keep="\n") + "\n")

    def stream(self, fragment: str) -> None:
        """A piece of text that goes on later; shown at once."""
        self._write(self._stdout, escaped(fragment.replace("\t", "    "), keep="\n"))
        self._stdout.flush()

    def json(self, value: Mapping[str, Any] | list[Any]) -> None:
        """`value` as one line of JSON; lone surrogates, as in undecodable file names, are escaped."""
        try:
            line = orjson.dumps(value).decode()
        except TypeError:  # orjson refuses strings that are not valid Unicode
            line = orjson.dumps(_valid(value)).decode()
        self._write(self._stdout, line + "\n")
        self._stdout.flush()

    def flush(self) -> None:
        """Let whoever reads stdout have what was written so far."""
        self._stdout.flush()

    @property
    def interactive(self) -> bool:
        """Whether a person sees stdout at once: it is a terminal, and no program reads it."""
        return not self.wants_json and _is_terminal(self._stdout)

    @property
    def width(self) -> int | None:
        """Columns of the terminal behind stdout; None when there is none."""
        if not _is_terminal(self._stdout):
            return None
        try:
            return os.get_terminal_size(self._stdout.fileno()).columns or None
        except (OSError, ValueError):
            return None

    # -- everything else: stderr

    def note(self, text: str) -> None:
        """A line for the person who waits."""
        self._line(text)

    def warn(self, text: str) -> None:
        """Something that did not stop the work."""
        self._line(text, "warning: ", _YELLOW)

    def error(self, error: BeyondragError) -> None:
        """What went wrong and what to do; with JSON also as an object on stdout."""
        about = f"{error.subject}: " if error.subject else ""
        self._line(f"{about}{error.message}", "error: ", _RED)
        if error.remedy:
            self._line(f"  try: {error.remedy}")
        if self.wants_json:
            self.json(
                {
                    "error": {
                        "type": type(error).__name__,
                        "subject": error.subject,
                        "message": error.message,
                        "remedy": error.remedy,
                        "exit_code": error.exit_code,
                    }
                }
            )

    @contextmanager
    def progress(self, total: float | None, unit: str) -> Iterator[Progress]:
        """Progress over `total` units ("bytes", "tokens", ...); while it lasts `note` writes above it."""
        progress: Progress
        if _is_terminal(self._stderr) and os.environ.get("TERM") != "dumb":
            progress = BarProgress(self._stderr, total, unit, color=self._allows_color)
        else:
            progress = LineProgress(self._plain_line, total, unit)
        with progress:
            self._progress = progress
            try:
                yield progress
            finally:
                self._progress = None

    def confirm(self, question: str) -> bool:
        """Ask; anything but yes is no.

        Raises:
            UsageError: there is nobody to ask.
        """
        if self.wants_json or not (_is_terminal(self._stdin) and _is_terminal(self._stderr)):
            raise UsageError(
                "this needs a confirmation, and there is nobody to ask", remedy="give --yes to do it unasked"
            )
        self._write(self._stderr, f"{escaped(question)} [y/N] ")
        self._stderr.flush()
        return self._stdin.readline().strip().casefold() in {"y", "yes"}

    def _line(self, text: str, label: str = "", color: str = "") -> None:
        line = escaped(text)
        if self._progress is not None:
            self._progress.note(label + line)
            return
        if label and self._allows_color and _is_terminal(self._stderr):
            label = f"{color}{label.rstrip()}{_RESET} "
        self._plain_line(label + line)

    def _plain_line(self, line: str) -> None:
        self._write(self._stderr, line + "\n")
        self._stderr.flush()

    def _write(self, stream: TextIO, text: str) -> None:
        encoding = stream.encoding or "utf-8"
        with self._lock:
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _valid(value: Any) -> Any:
    """`value` with every string fit for JSON."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_valid(key): _valid(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(item) for item in value]
    return value
