"""How much memory an attach adds, measured in a process of its own.

Run as a program it opens model and context, attaches one snapshot and prints a JSON object.  The peak
comes from Linux (VmHWM of /proc/self/status, reset through /proc/self/clear_refs); other systems only
have a peak that began with the process, so nothing is said there.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson

from eval.report import json_line
from eval.rig import Rig
from kvfiles.errors import BeyondragError, ModelError

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
_TIMEOUT_S = 600


def attach_extra_bytes(model: Path, snapshot: Path, n_tokens: int, n_threads: int) -> int | None:
    """Peak resident memory during the first attach, less that before it; None where it cannot be told.

    Raises ModelError when the child process fails.
    """
    command = [sys.executable, "-m", __name__, str(model), str(snapshot), str(n_tokens), str(n_threads)]
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter and module
            command, capture_output=True, timeout=_TIMEOUT_S, check=True, cwd=_import_root()
        )
        extra = orjson.loads(done.stdout)["extra_bytes"]
    except (subprocess.SubprocessError, orjson.JSONDecodeError, KeyError) as error:
        raise ModelError("the process that measures memory failed", subject=str(model)) from error
    return None if extra is None else int(extra)


def _import_root() -> Path:
    """The folder that holds this package: the child must find the same code."""
    return Path(__file__).resolve().parents[2]


def peak_over_attach(model: Path, snapshot: Path, n_tokens: int, n_threads: int) -> int | None:
    """As `attach_extra_bytes`, in this process."""
    with Rig(model, n_threads) as rig, rig.context(n_tokens + 1) as context:
        if not _reset_peak():
            return None
        before = _status_bytes("VmRSS")
        rig.attach(context, [snapshot])
        return max(0, _status_bytes("VmHWM") - before)


def _reset_peak() -> bool:
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _status_bytes(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise KeyError(field)


def main() -> int:
    """The child process; returns its exit code."""
    model, snapshot, n_tokens, n_threads = sys.argv[1:]
    try:
        extra = peak_over_attach(Path(model), Path(snapshot), int(n_tokens), int(n_threads))
    except BeyondragError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json_line({"extra_bytes": extra}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
