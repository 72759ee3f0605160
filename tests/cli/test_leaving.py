"""A thread that is still inside a compiled function does not break the end of the process."""

from __future__ import annotations

import subprocess
import sys

from guards import PATIENCE_S

PROGRAM = """
import ctypes, sys, threading
import beyondrag.__main__ as entry

def main():
    threading.Thread(target=lambda: ctypes.CDLL(None).sleep(60), daemon={daemon}).start()
    print("done", end="")
    return 3

entry.main = {main}
entry.leave()
"""


def run(**parts: object) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(**parts)
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_S)


def test_what_cannot_be_waited_for_ends_with_the_process() -> None:
    ended = run(daemon=True, main="main")
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "done", "")


def test_otherwise_python_ends_as_usual() -> None:
    ended = run(daemon=True, main="lambda: 4")
    assert (ended.returncode, ended.stdout, ended.stderr) == (4, "", "")
