"""Fixtures: a command of the tests' own, and an empty library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from beyondrag import cli
from beyondrag.console import Console
from library.store import Library


class FailingCommand:
    """A command of the tests' own, which does what it is told."""

    def __init__(self) -> None:
        self.action: Callable[[Console], int] = lambda _console: 0

    def add_parser(self, subparsers: Any, parents: list[Any]) -> None:
        parser = subparsers.add_parser("act", parents=parents)
        parser.set_defaults(run=lambda _args, console: self.action(console))

    def raises(self, error: BaseException) -> None:
        def action(_console: Console) -> int:
            raise error

        self.action = action


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> FailingCommand:
    """`beyondrag act`."""
    command = FailingCommand()
    monkeypatch.setattr(cli, "_COMMANDS", (command,))
    return command


@pytest.fixture
def library(isolated_user: Path) -> Iterator[Library]:
    """The default library of the test's user, empty."""
    with Library.create_or_open(isolated_user / "library") as opened:
        yield opened
