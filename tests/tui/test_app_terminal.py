"""The app in a real terminal, driven by keys: what Pilot cannot see (escape codes, raw mode, leaving)."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminal import Terminal, left_clean

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

PLAY = Path(__file__).with_name("play.py")


@pytest.fixture
def terminal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    arguments = [str(PLAY), str(tmp_path / "app.json")]
    terminal = Terminal(tmp_path, (80, 24), getattr(request, "param", {}), arguments)
    terminal.sees("2 documents to ask")
    yield terminal
    terminal.close()


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
