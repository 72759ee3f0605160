"""Makes the screenshots of the README: drives the real app, without a terminal, on examples/documents.

    make screenshots
    python docs/screenshots/make.py --model smollm2-135m --only ask,source

The app, the library, the model and its answers are the real ones; nothing is drawn by hand.  The documents
are copied to a folder `Kestrimere` in a home folder of their own, which is removed at the end.  With
`--home` it is kept: `--only ask,source,compare` then takes these pictures again without reading anything.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from textual.pilot import Pilot, WaitForScreenTimeout

from beyondrag.models import DEFAULT_MODEL
from beyondrag.service.service import EngineService
from beyondrag.settings import Settings, settings_from
from beyondrag.tui.app import BeyondragApp
from beyondrag.tui.config import TuiConfig

HERE = Path(__file__).parent
DOCUMENTS = HERE.parents[1] / "examples" / "documents"
SHOTS = ("ingest", "library", "ask", "source", "compare")
SIZE, WIDE = (104, 32), (140, 36)
MAX_BYTES = 150_000
PATIENCE_S = 1800.0
"""Reading the examples with the default model takes minutes on two cores."""

LOOK_EVERY_S = 1.0
"""Seconds between two looks at the terminal: each costs time that the reading needs, too."""

ASK = "On what date does the person to whom employees may report fraud in confidence retire from the board?"
"""The handbook says to whom, the minutes of June say when."""
COMPARE = (
    "How soon must an incident that puts a firmware signing key in doubt be reported to the Head of "
    "Information Security?"
)
"""The policy says in clause 9.1 which grade that is, in 9.2 how soon that grade is reported."""


@dataclass(frozen=True, slots=True)
class Job:
    """Which pictures, where they go, the home folder that the app sees, and the questions."""

    wanted: frozenset[str]
    out: Path
    home: Path
    ask: str
    compare: str


class Photographer:
    """One app at work, and where its pictures go."""

    def __init__(self, pilot: Pilot[int], job: Job) -> None:
        self._pilot, self._job = pilot, job
        assert isinstance(pilot.app, BeyondragApp)
        self.app = pilot.app

    async def press(self, *keys: str) -> None:
        """Press keys, one after another."""
        with suppress(WaitForScreenTimeout):  # a busy machine; what shall come of it is waited for anyway
            await self._pilot.press(*keys)

    async def resize(self, size: tuple[int, int]) -> None:
        """Make the terminal so many columns and rows large."""
        with suppress(WaitForScreenTimeout):
            await self._pilot.resize_terminal(*size)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something; what did not come ends the program."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                sys.exit(f"never seen: {what}; the terminal shows:\n{self.text()}")
            await asyncio.sleep(LOOK_EVERY_S)

    async def sees(self, words: str) -> None:
        """Wait until `words` stand on the terminal."""
        await self.until(lambda: words in self.text(), words)

    def text(self) -> str:
        """What stands on the terminal."""
        drawn = self.app.export_screenshot()
        lines = re.findall(r"<text[^>]*>(.*?)</text>", drawn, flags=re.DOTALL)
        return html.unescape("".join(lines)).replace("\xa0", " ")

    async def shoot(self, name: str) -> None:
        """Write the picture, if it is wanted."""
        if name not in self._job.wanted:
            return
        await asyncio.sleep(0.3)
        drawn = self.app.export_screenshot(title="beyondrag", simplify=True)
        # The fonts would be fetched from the network; any monospaced one does.
        drawn = re.sub(r"@font-face\s*\{.*?\}\s*", "", drawn, flags=re.DOTALL)
        drawn = re.sub(r"font-family:[^;]*;", "font-family: ui-monospace, Menlo, Consolas, monospace;", drawn)
        if str(self._job.home) in drawn.replace("&#160;", " "):
            sys.exit(f"{name}: a path of this machine is in the picture")
        if len(drawn.encode()) > MAX_BYTES:
            sys.exit(f"{name}: {len(drawn.encode()):,} bytes are too many")
        path = self._job.out / f"{name}.svg"
        path.write_text(drawn, encoding="utf-8")
        print(f"{path.name}: {len(drawn.encode()):,} bytes")


async def take(settings: Settings, job: Job) -> None:
    """Go through the app as a person does, from an empty library on."""
    to_read = "ingest" in job.wanted or not settings.library.exists()
    app = BeyondragApp(EngineService(settings), TuiConfig())
    app.animation_level = "none"
    try:
        async with app.run_test(size=SIZE) as pilot:
            camera = Photographer(pilot, job)
            await camera.until(lambda: app.status.model and not app.status.engine, "an open model")
            if to_read:
                await read_documents(camera, job.home / DOCUMENTS_NAME)
            if "library" in job.wanted:
                await camera.resize(WIDE)
                await look_at_library(camera)
                await camera.resize(SIZE)
            if job.wanted & {"ask", "source"}:
                await ask_and_check(camera, job.ask)
            if "compare" in job.wanted:
                await camera.resize(WIDE)
                await compare_arms(camera, job.compare)
    finally:
        app.close_service()


DOCUMENTS_NAME = "Kestrimere"


async def read_documents(camera: Photographer, folder: Path) -> None:
    """A plan, then reading; the picture is taken in the middle of it."""
    await camera.press("f4")
    await camera.sees("Which folder shall be read?")
    camera.app.screen.query_one("#path").focus()
    await camera.press(*str(folder), "enter")
    await camera.sees("Read them now")
    await camera.press("enter")
    await camera.until(lambda: camera.text().count("kept") >= 2 or "Ask now" in camera.text(), "reading")
    await camera.shoot("ingest")
    await camera.sees("Ask now")


async def look_at_library(camera: Photographer) -> None:
    """All documents; the details of the second one."""
    await camera.press("f3")
    await camera.sees("as f16")
    await camera.press("down")
    await camera.sees("text")
    await camera.shoot("library")


async def ask_and_check(camera: Photographer, question: str) -> None:
    """A question with its sources, then the first source in its document."""
    await camera.press("f2")
    camera.app.ask_screen.ask(question)
    await camera.sees(question[:20])
    await camera.press("enter")
    await camera.sees("first token")
    await camera.shoot("ask")
    await camera.press("ctrl+o", "enter")
    await camera.sees(f"~/{DOCUMENTS_NAME}")
    await camera.shoot("source")
    await camera.press("escape")


async def compare_arms(camera: Photographer, question: str) -> None:
    """The same question to whole documents and to chunks."""
    await camera.press("f6")
    await camera.press(*question, "enter")
    await camera.until(lambda: camera.text().count("first token") >= 2, "two answers")
    await camera.shoot("compare")


@contextmanager
def home_folder(kept: Path | None) -> Iterator[Path]:
    """A home for the app: `kept`, or one that is removed at the end."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="beyondrag-screenshots-") as folder:
        yield Path(folder).resolve()


def main() -> None:
    """Read the options, make a home, take the pictures."""
    parser = argparse.ArgumentParser(description="Make the screenshots of the README with the real app.")
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, help="name of an installed model (default: %(default)s)"
    )
    parser.add_argument("--documents", type=Path, default=DOCUMENTS, help="a folder (default: the examples)")
    parser.add_argument("--only", default=",".join(SHOTS), help="some of: %(default)s")
    parser.add_argument("--ask", default=ASK, help="the question of ask and source")
    parser.add_argument("--compare", default=COMPARE, help="the question of the comparison")
    parser.add_argument("--home", type=Path, help="keep the home folder with its library here")
    parser.add_argument("--out", type=Path, default=HERE, help="where the pictures go (default: beside this)")
    args = parser.parse_args()
    wanted = frozenset(args.only.split(","))
    if not wanted <= set(SHOTS):
        parser.error(f"--only takes some of {', '.join(SHOTS)}")
    settings = settings_from(argparse.Namespace(model=args.model))
    with home_folder(args.home) as home:
        os.environ["HOME"] = str(home)
        shutil.copytree(args.documents, home / DOCUMENTS_NAME, dirs_exist_ok=True)
        settings = replace(settings, library=home / "library", models=settings.models.absolute())
        args.out.mkdir(parents=True, exist_ok=True)
        asyncio.run(take(settings, Job(wanted, args.out.absolute(), home, args.ask, args.compare)))


if __name__ == "__main__":
    main()
