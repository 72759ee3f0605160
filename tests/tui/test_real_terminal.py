"""`beyondrag` itself in a real terminal with the small model, from the first run to leaving."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from guards import PATIENCE_S
from terminal import Terminal, left_clean

from library.store import Library
from library.upkeep import Upkeep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.model,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

"""A busy machine is no reason to fail."""

HARBOUR = "Harbour report\n\nThe keeper at Skerry Point was 48 years old.\nThe lamp is lit at dusk.\n"
SCHOOL = "School log\n\n" + "".join(
    f"On day {number} the bell of Fern Hill rang {number % 7 + 3} times before noon.\n"
    for number in range(35)
)


KEEPER = "How old was the keeper at Skerry Point?"
BELL = "Write down what the bell of Fern Hill did on every single day."
"""The small model's answer to this goes on and on."""


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
        tmp_path, (80, 24), environment, ["-m", "beyondrag", "--threads", "1", "--context", "4096"]
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


def ask(terminal: Terminal, question: str) -> None:
    """Type it and send it; comes back when documents are chosen for it."""
    terminal.type(question)
    terminal.sees(question[-40:], PATIENCE_S)
    terminal.press("Enter")
    terminal.sees("attached", PATIENCE_S)


def new_conversation(terminal: Terminal) -> None:
    terminal.press("C-n")
    terminal.sees("2 documents to ask.", PATIENCE_S)


def allow_long_answers(terminal: Terminal) -> None:
    terminal.press("C-t")
    terminal.sees("How to answer", PATIENCE_S)
    terminal.press("Tab", "Tab", "Tab", "Tab")
    terminal.type("900")
    screen = terminal.sees(" 900 ", PATIENCE_S)
    assert "Longest answer" in next(line for line in screen.splitlines() if " 900 " in line)
    terminal.press("Enter")
    screen = terminal.sees("at most 900 tokens", PATIENCE_S)
    assert "How to answer" not in screen


def wait_until_it_writes(terminal: Terminal) -> None:
    """Until the answer has grown before our eyes."""
    terminal.sees("tands in", PATIENCE_S)  # the copied line was checked: from now on the answer is written
    seen = {terminal.screen()}
    deadline = time.monotonic() + PATIENCE_S
    while len(seen) < 4:
        screen = terminal.screen()
        assert "first token" not in screen, f"the answer was too short to be stopped:\n{screen}"
        assert time.monotonic() < deadline, f"nothing more is written:\n{screen}"
        seen.add(screen)
        time.sleep(0.05)


def test_from_the_first_run_to_leaving(terminal: Terminal, home: Path) -> None:
    begin_reading(terminal)
    terminal.sees("2 indexed · 2 read", PATIENCE_S)
    terminal.sees("Ask now")
    terminal.press("Enter")
    terminal.sees("2 documents to ask.", PATIENCE_S)
    ask(terminal, KEEPER)
    terminal.sees("first token", PATIENCE_S)

    allow_long_answers(terminal)
    new_conversation(terminal)
    ask(terminal, BELL)
    wait_until_it_writes(terminal)
    terminal.press("Escape")
    stopped = terminal.sees("Stopped; this was not checked.", PATIENCE_S)
    time.sleep(1.0)
    assert transcript(terminal.screen()) == transcript(stopped), "nothing is written any more"

    new_conversation(terminal)
    ask(terminal, KEEPER)
    terminal.sees("first token", PATIENCE_S)
    terminal.press("C-g")
    terminal.sees("What the model read for:", PATIENCE_S)
    terminal.sees("snapshot k4v4", PATIENCE_S)
    terminal.press("Down", "Enter")
    terminal.sees("~/papers/harbour.txt", PATIENCE_S)
    terminal.press("Escape")
    terminal.sees("What the model read for:", PATIENCE_S)
    terminal.press("Escape")
    terminal.sees("first token", PATIENCE_S)
    terminal.press("C-q")
    left_clean(terminal, 0, PATIENCE_S)
    with Library.open(home / "library") as library:
        assert Upkeep(library).verify(deep=True).sound
        kept = [library.conversations.turns(row.id) for row in library.conversations.all()]
        assert [[turn.question for turn in turns] for turns in kept] == [[KEEPER], [BELL], [KEEPER]]
        answered, stopped_turn = (orjson.loads(turns[0].record) for turns in kept[:2])
        assert answered["answer"] is not None
        assert stopped_turn["answer"] is None
        assert stopped_turn["partial"]


def transcript(screen: str) -> list[str]:
    """What stands above the field and the status line."""
    return screen.splitlines()[:-6]


def library_is_clean(home: Path) -> None:
    with Library.open(home / "library") as library:
        assert Upkeep(library).verify(deep=True).sound
        with library.writing():  # nobody holds the lock any more
            assert library.count() == 2
    assert not list((home / "library").rglob("*.tmp"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_being_told_to_end_while_documents_are_read(
    terminal: Terminal, home: Path, number: signal.Signals
) -> None:
    begin_reading(terminal)
    terminal.sees("tokens/s", PATIENCE_S)
    os.kill(terminal.app_process(), number)
    left_clean(terminal, 128 + number, PATIENCE_S)
    library_is_clean(home)


def test_being_told_to_end_while_an_answer_is_written(terminal: Terminal, home: Path) -> None:
    """What happens when the window is closed."""
    begin_reading(terminal)
    terminal.sees("2 indexed · 2 read", PATIENCE_S)
    terminal.sees("Ask now")
    terminal.press("Enter")
    terminal.sees("2 documents to ask.", PATIENCE_S)
    allow_long_answers(terminal)
    ask(terminal, BELL)
    wait_until_it_writes(terminal)
    os.kill(terminal.app_process(), signal.SIGHUP)
    left_clean(terminal, 128 + signal.SIGHUP, PATIENCE_S)
    library_is_clean(home)
