"""The app in a real terminal, driven by keys: what Pilot cannot see (escape codes, raw mode, leaving)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

PLAY = Path(__file__).with_name("play.py")
ROOT = PLAY.parents[2]


class Terminal:
    """A tmux server of its own with one window; the app runs in it and its exit code is shown behind it."""

    def __init__(self, folder: Path, size: tuple[int, int], environment: dict[str, str]) -> None:
        self._socket = folder / "tmux"
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLORTERM": "truecolor", **environment}
        command = f"'{sys.executable}' '{PLAY}' '{folder / 'app.json'}'"
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

    def sees(self, words: str, seconds: float = 20.0) -> str:
        deadline = time.monotonic() + seconds
        while words not in (screen := self.screen()):
            assert time.monotonic() < deadline, f"{words!r} is not on the screen:\n{screen}"
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
            timeout=30,
            check=check,
        )
        return done.stdout


@pytest.fixture
def terminal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, (80, 24), getattr(request, "param", {}))
    terminal.sees("2 documents to ask")
    yield terminal
    terminal.close()


def left_clean(terminal: Terminal, code: int) -> None:
    """The shell has its terminal back: normal screen, echo, line by line."""
    terminal.sees(f"left with {code}")
    screen = terminal.sees("echo")
    assert screen.split() == ["left", "with", str(code), "icanon", "echo"]


def test_ask_check_and_leave(terminal: Terminal) -> None:
    terminal.type("How old was the pilot?")
    terminal.press("Enter")
    screen = terminal.sees("first token")
    assert "1 Report on the accident, page 2" in screen
    terminal.press("C-o", "Enter")
    terminal.sees("p.2 of 3")
    terminal.press("/")
    terminal.type("line 12:")
    terminal.press("Enter")
    terminal.sees("match 2 of 3")
    terminal.press("Escape")
    terminal.sees("first token")
    terminal.press("C-q")
    left_clean(terminal, 0)


def test_new_lines_stop_and_resize(terminal: Terminal) -> None:
    terminal.type("One")
    terminal.press("C-j")
    terminal.type("Two")
    terminal.sees("│ Two")
    terminal.press("Enter")
    terminal.sees("says the report")
    terminal.resize(120, 40)
    terminal.press("Escape")
    terminal.sees("Stopped; this was not checked.")
    terminal.resize(40, 10)
    terminal.sees("Stopped; this was not checked.")
    terminal.press("C-q")
    left_clean(terminal, 0)


@pytest.mark.parametrize("terminal", [{"NO_COLOR": "1"}], indirect=True)
def test_without_colours_no_colour_is_sent(terminal: Terminal) -> None:
    terminal.type("How old?")
    terminal.press("Enter")
    terminal.sees("first token")
    sent = terminal.screen_with_codes()
    codes = [code.partition("m")[0].split(";") for code in sent.split("\x1b[")[1:]]
    assert codes
    assert [code for code in codes if coloured(code)] == []


def coloured(numbers: list[str]) -> bool:
    """Whether a code of the terminal sets a colour that is no grey."""
    position = 0
    while position < len(numbers):
        if numbers[position] in ("38", "48") and numbers[position + 1 : position + 2] == ["2"]:
            if len(set(numbers[position + 2 : position + 5])) > 1:
                return True
            position += 5
            continue
        if numbers[position] in ("38", "48") or numbers[position][:1] in ("3", "4", "9"):
            plain = numbers[position] in ("3", "4", "9", "39", "49")
            if len(numbers[position]) > 1 and not plain:
                return True
        position += 1
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_being_told_to_end_leaves_the_terminal_clean(terminal: Terminal, number: signal.Signals) -> None:
    terminal.type("How old?")
    terminal.press("Enter")
    terminal.sees("attached")
    os.kill(terminal.app_process(), number)
    left_clean(terminal, 128 + number)
