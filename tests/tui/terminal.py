"""A real terminal, driven by keys."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from guards import PATIENCE_S

ROOT = Path(__file__).parents[2]
PYTHONPATH = os.pathsep.join(str(ROOT / part) for part in (".", "tests"))


class Terminal:
    """A tmux server of its own with one window: Python runs in it with `arguments`, and its exit code is
    shown behind it."""

    def __init__(
        self, folder: Path, size: tuple[int, int], environment: dict[str, str], arguments: Sequence[str]
    ) -> None:
        self._socket = folder / "tmux"
        self._environment = {**os.environ, "PYTHONPATH": PYTHONPATH, "COLORTERM": "truecolor", **environment}
        command = shlex.join([sys.executable, *arguments])
        command += '; echo "left with $?"; stty -a | tr " ;" "\\n\\n" | grep -Ex -- "-?(echo|icanon)"'
        command += "; exec sleep 600"
        width, height = (str(n) for n in size)
        self._tmux("-f", os.devnull, "new-session", "-d", "-x", width, "-y", height, "sh", "-c", command)

    def press(self, *keys: str) -> None:
        for key in keys:
            self._tmux("send-keys", key)

    def type(self, words: str) -> None:
        self._tmux("send-keys", "-l", words)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def screen_with_codes(self) -> str:
        return self._tmux("capture-pane", "-p", "-e")

    def sees(self, words: str, seconds: float = PATIENCE_S) -> str:
        deadline = time.monotonic() + seconds
        while words not in (screen := self.screen()):
            over = ("left with" in screen and "echo" in screen) or time.monotonic() > deadline
            assert not over, f"{words!r} is not on the screen:\n{screen}"
            time.sleep(0.05)
        return screen

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def app_process(self) -> int:
        """The process id of the app."""
        shell = self._tmux("list-panes", "-F", "#{pane_pid}").strip()
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return int(children[0])

    def close(self) -> None:
        self._tmux("kill-server", check=False)

    def _tmux(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=check,
        )
        return done.stdout


def left_clean(terminal: Terminal, code: int, seconds: float = PATIENCE_S) -> None:
    """The shell has its terminal back: normal screen, echo, line by line."""
    terminal.sees(f"left with {code}", seconds)
    screen = terminal.sees("echo")
    assert screen.split() == ["left", "with", str(code), "icanon", "echo"], screen
