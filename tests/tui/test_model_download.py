"""The first run downloads a model from a server on this machine: cancelled, resumed, wrong, unreachable."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from guards import PATIENCE_S
from harness import enter_presses, running, sees, shown, until
from samples import READY
from scripted_service import ScriptedService
from textual.pilot import Pilot

from beyondrag.models import Address, KnownModel, ModelStore, https
from beyondrag.service import downloads
from beyondrag.service.announcer import Announcer
from beyondrag.service.notices import ModelMissing, Problem, TaskFailed
from beyondrag.service.problems import problem_of
from beyondrag.service.ticket import Ticket
from beyondrag.settings import Settings

SIZE, PIECE = 3_000_000, 100_000
MODEL = b"GGUF" + bytes(range(256)) * (SIZE // 256)
"""Begins like a model; nobody opens it here."""


@dataclass
class Site:
    """Serves `content` at every path, a piece whenever `gate` lets it; `ranges` are those asked for."""

    content: bytes = MODEL
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    ranges: list[str | None] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    def __post_init__(self) -> None:
        self.server = server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        server.daemon_threads = True
        self.address = f"http://127.0.0.1:{server.server_address[1]}/tiny.gguf"
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def down(self) -> None:
        """Nobody listens there any more."""
        self.let(1_000)
        if self.server is not None:
            self.server.shutdown()
            self._thread.join()
            self.server.server_close()
            self.server = None

    def handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                site.ranges.append(asked)
                start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
                self.send_response(206 if start else 200)
                if start:
                    last = len(site.content) - 1
                    self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
                self.send_header("ETag", '"one"')
                self.send_header("Content-Length", str(len(site.content) - start))
                self.end_headers()
                for at in range(start, len(site.content), PIECE):
                    site.gate.acquire()
                    try:
                        self.wfile.write(site.content[at : at + PIECE])
                    except OSError:  # it was cancelled
                        return

            def log_message(self, *_arguments: object) -> None:
                pass

        return Handler

    def let(self, pieces: int) -> None:
        self.gate.release(pieces)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(https, "BACKOFF_S", (0.0, 0.0, 0.0))
    site = Site()
    yield site
    site.down()


class Downloading(ScriptedService):
    """Pulls for real, the way the service does; nothing is opened afterwards."""

    def __init__(self, settings: Settings) -> None:
        missing = Problem("ModelNotFound", "it is not installed", "tiny", "beyondrag models pull tiny")
        super().__init__(at_start=(ModelMissing("tiny", "Apache-2.0", len(MODEL), missing),))
        self.settings = settings
        self.pulls: list[tuple[Ticket, threading.Thread]] = []

    def pull(self, model: str) -> int:
        ticket = Ticket(super().pull(model))
        thread = threading.Thread(target=self._run, args=(ticket, model))
        self.pulls.append((ticket, thread))
        thread.start()
        return ticket.number

    def stop(self, request: int) -> None:
        super().stop(request)
        for ticket, _ in self.pulls:
            if ticket.number == request:
                ticket.stop()

    def ended(self) -> None:
        for _, thread in self.pulls:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    def _run(self, ticket: Ticket, model: str) -> None:
        announcer = Announcer()
        announcer.listen(self.tell)
        try:
            downloads.pull_model(ticket, model, self.settings, announcer)
        except Exception as error:
            self.tell(TaskFailed(ticket.number, problem_of(error)))


@pytest.fixture
def service(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Downloading]:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    digest = hashlib.sha256(MODEL).hexdigest()
    tiny = KnownModel("tiny", len(MODEL), digest, "Apache-2.0", 8, "a test", (Address(site.address),))
    monkeypatch.setattr(downloads, "SAY_EVERY_S", 0.0)  # the site stands still: what it gave must be told
    monkeypatch.setattr(downloads, "ModelStore", partial(ModelStore, known=(tiny,)))
    service = Downloading(Settings(tmp_path, tmp_path / "models", "tiny", 2048, 1, "k4v4", "f16"))
    yield service
    service.ended()


def focused(pilot: Pilot[int]) -> str | None:
    part = pilot.app.focused
    return part.id if part is not None else None


async def test_progress_cancel_and_going_on_where_it_stopped(service: Downloading, site: Site) -> None:
    async with running(service) as pilot:
        await sees(pilot, "tiny · 3.00 MB · licence Apache-2.0")
        assert focused(pilot) == "pull"
        await pilot.press("enter")
        site.let(15)
        await until(pilot, lambda: re.search(r"[12]\.\d\d MB of 3\.00 MB", shown(pilot)))
        assert focused(pilot) == "pull-cancel"
        await pilot.press("enter")
        site.let(3)  # a server that says nothing for a while is waited for
        seen = await sees(pilot, "The download was cancelled")
        assert "it goes on where it stopped" in seen
        await until(pilot, lambda: enter_presses(pilot, "pull"))
        assert not (service.settings.models / "tiny.gguf").exists()

        await pilot.press("enter")
        site.let(1_000)
        await sees(pilot, "tiny is here; it is being opened")
        assert site.ranges[0] is None
        assert re.fullmatch(r"bytes=[1-9]\d+-", site.ranges[1] or "")
        assert (service.settings.models / "tiny.gguf").read_bytes() == MODEL
        await until(pilot, lambda: focused(pilot) == "path")  # on to the folder
        service.tell(READY)
        await sees(pilot, "Which folder shall be read?")


async def test_a_file_that_is_another_one_is_not_kept(service: Downloading, site: Site) -> None:
    site.content = MODEL[:-1] + b"!"
    site.let(1_000)
    async with running(service) as pilot:
        await sees(pilot, "There is no model yet")
        await pilot.press("enter")
        seen = await sees(pilot, "The model could not be downloaded")
        assert "SHA-256" in " ".join(seen.split())
        await until(pilot, lambda: enter_presses(pilot, "pull"))
        assert "Try again" in shown(pilot)
        assert not list(service.settings.models.glob("*.gguf*"))
        site.content = MODEL
        await pilot.press("enter")
        await sees(pilot, "tiny is here")


async def test_without_a_network_it_is_said_what_to_do(service: Downloading, site: Site) -> None:
    site.down()
    async with running(service) as pilot:
        await sees(pilot, "There is no model yet")
        await pilot.press("enter")
        seen = await sees(pilot, "The model could not be downloaded")
        assert "127.0.0.1" in seen
        assert "what has arrived is kept" in " ".join(seen.split())
        assert focused(pilot) == "pull"
