"""Runs a probe in a child process: llama.cpp ends its process when a build or a file does not suit it."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import orjson

from beyondrag.errors import AppError
from library.wording import one_line

REINSTALL = (
    "build it on this machine: pip install --force-reinstall --no-binary llama-cpp-python llama-cpp-python"
)

_OUTPUT_LIMIT = 1 << 20


class ProbeFailed(AppError):
    """The child crashed, was too slow, or says what is wrong."""


def run_probe(*arguments: str, timeout_s: float) -> dict[str, Any]:
    """What `python -m beyondrag.health.probe ARGUMENTS` finds.

    Raises:
        ProbeFailed: it crashed (the message names the signal), took longer than `timeout_s`, or found
            something wrong.
    """
    command = [sys.executable, "-P", "-m", "beyondrag.health.probe", *arguments]
    try:
        done = subprocess.run(  # noqa: S603  (our own interpreter and module)
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise ProbeFailed(
            f"no answer within {timeout_s:.0f} seconds", remedy="try again when less runs on this machine"
        ) from None
    except OSError as error:
        raise ProbeFailed(
            f"no process could be started: {error.strerror}", remedy="free some memory and try again"
        ) from error
    if done.returncode < 0:
        raise _crashed(-done.returncode)
    found = _last_object(done.stdout[-_OUTPUT_LIMIT:])
    if found is None:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        detail = f": {one_line(said[-1], 200)}" if said else ""
        raise ProbeFailed(f"the check ended with code {done.returncode}{detail}", remedy=REINSTALL)
    if "error" in found:
        raise ProbeFailed(
            one_line(str(found["error"]), 300),
            subject=one_line(str(found.get("subject", "")), 200),
            remedy=one_line(str(found.get("remedy", "")), 200),
        )
    return found


def _crashed(number: int) -> ProbeFailed:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number == signal.SIGILL:
        return ProbeFailed("it was built for another processor (illegal instruction)", remedy=REINSTALL)
    if number == signal.SIGKILL:
        return ProbeFailed(
            "it was killed, probably because memory ran out", remedy="close programs, or use a smaller model"
        )
    return ProbeFailed(f"it crashed ({name})", remedy="pull the model again; if that does not help, rebuild")


def _last_object(output: bytes) -> dict[str, Any] | None:
    lines = output.strip().splitlines()
    try:
        found = orjson.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
