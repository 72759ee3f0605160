"""Screens as text files: what a person sees, compared character for character.

`BEYONDRAG_UPDATE_GOLDENS=1 pytest tests/tui -k golden` writes the files anew: read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

from harness import shown
from textual.pilot import Pilot

GOLDENS = Path(__file__).parent / "goldens"


async def same_as_golden(pilot: Pilot[int], name: str) -> None:
    """The terminal shows exactly what the file holds, once nothing changes any more."""
    before, same = "", 0
    while same < 5:
        await pilot.pause(0.02)
        same = same + 1 if shown(pilot) == before else 0
        before = shown(pilot)
    width, height = pilot.app.size
    path = GOLDENS / f"{name}_{width}x{height}.txt"
    now = shown(pilot).rstrip("\n") + "\n"
    if os.environ.get("BEYONDRAG_UPDATE_GOLDENS"):
        GOLDENS.mkdir(exist_ok=True)
        path.write_text(now, encoding="utf-8")
    assert now == path.read_text(encoding="utf-8")
