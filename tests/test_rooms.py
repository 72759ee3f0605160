"""The rooms: imports go one way, and the package holds these five and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ["kvfiles", "library", "ingest", "beyondrag", "eval"]


def test_imports_go_one_way() -> None:
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_the_package_is_exactly_the_five_rooms() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert sorted(tool["scikit-build"]["wheel"]["packages"]) == sorted(ROOMS)
    assert tool["importlinter"]["root_packages"] == ROOMS
    assert all((ROOT / room / "__init__.py").is_file() for room in ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_opens_without_the_rooms_above_it(room: str) -> None:
    above = ROOMS[ROOMS.index(room) + 1 :]
    code = f"import sys, {room}; sys.exit(any(name in sys.modules for name in {above}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
