"""`beyondrag` itself in a real terminal with the small model, from the first run to leaving."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminal import Terminal, left_clean

from library.store import Library
from library.upkeep import Upkeep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.model,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

PATIENCE_S = 180.0
"""A busy machine is no reason to fail."""

HARBOUR = "Harbour report\n\nThe keeper at Skerry Point was 48 years old.\nThe lamp is lit at dusk.\n"
SCHOOL = "School log\n\n" + "".join(
    f"On day {number} the bell of Fern Hill rang {number % 7 + 3} times before noon.\n"
    for number in range(35)
)


@pytest.fixture
def home(tmp_path: Path, small_model_path: Path) -> Path:
    """A person's home with two documents, and nothing of this program but the model."""
    home = tmp_path / "home"
    (home / "papers").mkdir(parents=True)
    (home / "papers" / "harbour.txt").write_text(HARBOUR)
    (home / "papers" / "school.txt").write_text(SCHOOL)
    (home / "models").mkdir()
    (home / "models" / "small.gguf").symlink_to(small_model_path)
    return home


@pytest.fixture
def terminal(tmp_path: Path, home: Path) -> Iterator[Terminal]:
    """`beyondrag` without a command."""
    environment = {
        "HOME": str(home),
        "BEYONDRAG_LIBRARY": str(home / "library"),
        "BEYONDRAG_MODELS": str(home / "models"),
        "BEYONDRAG_MODEL": str(home / "models" / "small.gguf"),
        **{f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("DATA", "CONFIG", "CACHE", "STATE")},
    }
    terminal = Terminal(
        tmp_path, (80, 24), environment, ["-m", "beyondrag", "--threads", "1", "--context", "2048"]
    )
    yield terminal
    terminal.close()


def begin_reading(terminal: Terminal) -> None:
    """From the first screen to an ingest that runs."""
    terminal.sees("Which folder shall be read?", PATIENCE_S)
    terminal.sees("small is open", PATIENCE_S)
    terminal.type("~/papers")
    terminal.press("Enter")
    terminal.sees("2 new", PATIENCE_S)
    terminal.press("Enter")


def test_from_the_first_run_to_leaving(terminal: Terminal, home: Path) -> None:
    begin_reading(terminal)
    terminal.sees("2 indexed · 2 read", PATIENCE_S)
    terminal.sees("Ask now")
    terminal.press("Enter")
    terminal.sees("Ask your documents.", PATIENCE_S)
    terminal.type("How old was the keeper at Skerry Point?")
    terminal.press("Enter")
    terminal.sees("attached", PATIENCE_S)
    terminal.sees("first token", PATIENCE_S)

    terminal.press("C-t")  # an answer that is long enough to be stopped
    terminal.sees("How to answer", PATIENCE_S)
    for _ in range(4):
        terminal.press("Tab")
    terminal.type("4000")
    terminal.press("Enter")
    terminal.sees("at most 4000 tokens", PATIENCE_S)
    terminal.press("C-n")
    terminal.type("Write down what the bell of Fern Hill did on every single day.")
    terminal.press("Enter")
    terminal.sees("attached", PATIENCE_S)
    terminal.press("Escape")
    terminal.sees("Stopped", PATIENCE_S)

    terminal.press("C-n")
    terminal.type("How old was the keeper at Skerry Point?")
    terminal.press("Enter")
    terminal.sees("first token", PATIENCE_S)
    terminal.press("C-r")
    terminal.sees("snapshot k4v4", PATIENCE_S)
    terminal.press("Down", "Enter")
    terminal.sees("~/papers/", PATIENCE_S)
    terminal.press("Escape", "Escape")
    terminal.press("C-q")
    left_clean(terminal, 0, PATIENCE_S)
    with Library.open(home / "library") as library:
        assert Upkeep(library).verify(deep=True).sound
        (summary, *_) = library.conversations.latest(10)
        assert summary is not None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_being_told_to_end_while_documents_are_read(
    terminal: Terminal, home: Path, number: signal.Signals
) -> None:
    begin_reading(terminal)
    terminal.sees("tokens/s", PATIENCE_S)
    os.kill(terminal.app_process(), number)
    left_clean(terminal, 128 + number, PATIENCE_S)
    with Library.open(home / "library") as library:
        assert Upkeep(library).verify(deep=True).sound
        with library.writing():  # nobody holds the lock any more
            assert library.count() == 2
    assert not list((home / "library").rglob("*.tmp"))
