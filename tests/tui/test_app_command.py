"""`beyondrag` without arguments, and `beyondrag app`: when the app opens, and what is said when it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beyondrag.commands import app as command
from beyondrag.tui.app import BeyondragApp


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[BeyondragApp]:
    """The apps that would have run; there seems to be a terminal."""
    apps: list[BeyondragApp] = []

    def run_app(app: BeyondragApp) -> int:
        apps.append(app)
        app.close_service()
        return 0

    monkeypatch.setattr(command, "fits_the_terminal", lambda: True)
    monkeypatch.setattr("beyondrag.tui.running.run_app", run_app)
    return apps


@pytest.mark.parametrize("arguments", [(), ("app",), ("--threads", "1"), ("app", "--threads", "1")])
def test_in_a_terminal_the_app_opens(
    beyondrag: Any, opened: list[BeyondragApp], arguments: tuple[str, ...], isolated_user: Path
) -> None:
    assert beyondrag(*arguments).code == 0
    (app,) = opened
    assert app.config.path == isolated_user / "xdg-config" / "beyondrag" / "app.json"


def test_colours_can_be_switched_off(beyondrag: Any, opened: list[BeyondragApp]) -> None:
    assert beyondrag("app", "--no-color").code == 0
    assert opened[0].no_color


def test_without_a_terminal_there_is_help(beyondrag: Any) -> None:
    shown = beyondrag()
    assert shown.code == 2
    assert "open the app" in shown.out


def test_with_json_there_is_help_even_in_a_terminal(beyondrag: Any, opened: list[BeyondragApp]) -> None:
    assert beyondrag("--json").code == 2
    assert opened == []


def test_the_command_says_that_it_needs_a_terminal(beyondrag: Any) -> None:
    shown = beyondrag("app")
    assert shown.code == 2
    assert "the app needs a terminal" in shown.err


@pytest.mark.parametrize("option", ["--json", "--verbose"])
def test_log_and_json_are_refused(beyondrag: Any, opened: list[BeyondragApp], option: str) -> None:
    shown = beyondrag("app", option)
    assert shown.code == 2
    assert option in shown.err
    assert opened == []


def test_a_wrong_setting_is_told_before_the_app_opens(beyondrag: Any, opened: list[BeyondragApp]) -> None:
    shown = beyondrag("app", "--context", "1")
    assert shown.code == 2
    assert "--context" in shown.err
    assert opened == []


def test_a_dumb_terminal_gets_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert not command.fits_the_terminal()
