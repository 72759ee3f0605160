"""The promises of the Makefile and of the check that runs before a change is taken."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def make(*arguments: str) -> str:
    """What `make` writes; the tests themselves may run below a make with options of its own."""
    inherited = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ARGS"}
    environment = {name: value for name, value in os.environ.items() if name not in inherited}
    command = ["make", *arguments]
    shown = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
    )
    return shown.stdout


def steps(target: str) -> str:
    """What `make TARGET` would do."""
    return make("-n", target)


def test_help_names_every_target() -> None:
    shown = make()
    for target in ("setup", "demo", "test", "test-fast", "test-slow", "lint", "bench", "bench-library"):
        assert f"make {target} " in shown


def test_the_whole_suite_runs_with_the_small_model() -> None:
    assert "beyondrag models pull smollm2-135m" in steps("test")
    assert steps("test").rstrip().endswith("-m pytest -q")


def test_the_slow_tests_come_in_their_long_forms() -> None:
    assert steps("test-slow").rstrip().endswith("BEYONDRAG_LONG=1 .venv/bin/python -m pytest -q -m slow")


def test_lint_checks_style_types_and_rooms() -> None:
    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports"):
        assert tool in steps("lint")


def test_the_check_is_lint_and_test() -> None:
    script = REPOSITORY / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert script.read_text().splitlines()[-2:] == ["make lint", "make test"]
