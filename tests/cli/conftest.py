"""Fixtures: the command line in this process, with what it wrote and returned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from beyondrag import cli
from beyondrag.console import Console
from beyondrag.settings import CACHE_TYPE_VARIABLE, CODEC_VARIABLE, MODEL_VARIABLE
from library.store import Library


@dataclass(frozen=True)
class Outcome:
    """What one run of the command line gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one line of JSON on stdout."""
        assert self.out.count("\n") == 1
        return orjson.loads(self.out)


Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def no_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (MODEL_VARIABLE, CODEC_VARIABLE, CACHE_TYPE_VARIABLE, "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def beyondrag(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line; whatever happens, no traceback may come out."""

    def run(*arguments: str) -> Outcome:
        code = cli.main(arguments)
        captured = capfd.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Outcome(code, captured.out, captured.err)

    return run


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
