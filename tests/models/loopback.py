"""A loopback web server whose misbehaviour is scripted, small stand-ins for models, a progress recorder."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from beyondrag.models import Address, KnownModel, PullProgress
from beyondrag.models.catalogue import Source


def gguf_bytes(size: int, seed: int = 0) -> bytes:
    """`size` bytes that begin like a GGUF file."""
    return b"GGUF" + random.Random(seed).randbytes(size - 4)


def known_model(content: bytes, *sources: Source, name: str = "tiny") -> KnownModel:
    """A catalogue entry for `content`."""
    sha256 = hashlib.sha256(content).hexdigest()
    return KnownModel(name, len(content), sha256, "none", 8, "a test", sources)


@dataclass
class Page:
    """What the server does for one path; `script` overrides single requests, first come first served."""

    content: bytes = b""
    etag: str | None = '"v1"'
    ranges: bool = True
    script: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    ranges_asked: list[str | None] = field(default_factory=list)
    conditions: list[str | None] = field(default_factory=list)


def answer(status: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """A scripted answer."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return send


def drop_after(n_bytes: int) -> Callable[[BaseHTTPRequestHandler], None]:
    """Begin the regular answer, then drop the connection after `n_bytes` of its body."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        serve(handler, limit=n_bytes)

    return send


def serve(handler: BaseHTTPRequestHandler, limit: int | None = None) -> None:
    """The regular answer: the page's content, from where `Range` says, if `If-Range` agrees."""
    page: Page = handler.server.pages[handler.path.partition("?")[0]]  # type: ignore[attr-defined]
    asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
    start, total = 0, len(page.content)
    if asked and page.ranges and condition in (None, page.etag):
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
    if start >= total and start:
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{total}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
    if page.etag:
        handler.send_header("ETag", page.etag)
    handler.send_header("Content-Length", str(total - start))
    handler.end_headers()
    handler.wfile.write(page.content[start:][:limit])


class _Handler(BaseHTTPRequestHandler):
    timeout = 5

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])  # type: ignore[attr-defined]
        if page is None:
            answer(404)(self)
            return
        page.ranges_asked.append(self.headers.get("Range"))
        page.conditions.append(self.headers.get("If-Range"))
        (page.script.pop(0) if page.script else serve)(self)

    def log_message(self, *args: object) -> None:
        pass


class Site(ThreadingHTTPServer):
    """The server; `pages` maps paths to what is done there."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: dict[str, Page] = {}

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests."""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def put(self, path: str, content: bytes, **options: object) -> Page:
        self.pages[path] = page = Page(content, **options)  # type: ignore[arg-type]
        return page

    def address(self, path: str) -> Address:
        return Address(self.url(path))


@contextmanager
def running_site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        site.shutdown()
        thread.join()
        site.server_close()


class Recorder:
    """A progress callback that keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[PullProgress] = []

    def __call__(self, event: PullProgress) -> None:
        self.events.append(event)

    def stages(self) -> list[str]:
        """The stages in order, repetitions folded."""
        stages = [event.stage for event in self.events]
        return [stage for i, stage in enumerate(stages) if i == 0 or stages[i - 1] != stage]
