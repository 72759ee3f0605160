"""Runs the program, or the probe, in processes of their own and says what they cost."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson

from kvfiles.errors import StorageError

_TIMEOUT_S = 4 * 3600


@dataclass(frozen=True, slots=True)
class CommandCost:
    """Seconds on the clock, seconds of CPU of all its processes, bytes of its largest process."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Probe:
    """What one process saw of a library (see `eval.bench.library.probe`); seconds and bytes."""

    import_s: float
    open_s: float
    first_search_s: float
    searches_s: list[float]
    list_first_s: float
    list_last_s: float
    find_path_s: float
    find_name_s: float
    totals_s: float
    verify_s: float
    opened_bytes: int
    searched_bytes: int
    verified_bytes: int


def run_probe(root: Path, questions: Path, folder: Path) -> Probe:
    """Open and use the library in a fresh process.  Raises StorageError when that fails."""
    _, said = _launch(["-m", "eval.bench.library.probe", str(root), str(questions)], folder)
    return Probe(**orjson.loads(said))


def run_program(arguments: list[str], folder: Path) -> CommandCost:
    """Run `beyondrag`; what it writes goes to a file in `folder`.  Raises StorageError when it fails."""
    return _launch(["-m", "beyondrag", *arguments], folder)[0]


def _launch(arguments: list[str], folder: Path) -> tuple[CommandCost, str]:
    """What our own interpreter costs with these arguments, and what it said."""
    output, launcher = folder / "output", Path(__file__).with_name("launch.py")
    command = [sys.executable, "-S", str(launcher), str(output), sys.executable, *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and modules
            command, capture_output=True, timeout=_TIMEOUT_S, check=True, cwd=_import_root()
        )
        told = orjson.loads(done.stdout)
    except (subprocess.SubprocessError, orjson.JSONDecodeError) as error:
        raise StorageError(f"a process to be measured could not be run: {error}") from error
    said = output.read_text(errors="replace")
    if told.pop("code"):
        raise StorageError(f"`{' '.join(arguments[:2])}` failed: {said[-500:]}", subject=str(folder))
    return CommandCost(**told), said


def _import_root() -> Path:
    """The folder that holds this package: the children must find the same code."""
    return Path(__file__).resolve().parents[3]
