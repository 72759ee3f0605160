"""The https source against a scripted loopback server."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from loopback import Recorder, Site, answer, drop_after, gguf_bytes

from beyondrag.errors import SourceUnavailable, UsageError
from beyondrag.models import Address, disk, https
from beyondrag.models.https import AddressFetch, check_url
from beyondrag.models.partial import Partial, partial_files
from kvfiles.errors import Cancelled, StorageError

MODEL = gguf_bytes(3_000_000)
OTHER = gguf_bytes(3_000_000, seed=1)
PATH = "/models/m.gguf"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "m.gguf"


def fetch(
    source: Address,
    target: Path,
    *,
    size: int | None = None,
    trusted: bool = False,
    seen: Recorder | None = None,
    stop_after: int | None = None,
) -> bytes:
    """Fetch, and return what is in the partial file; the file is closed whatever happens."""
    seen = seen or Recorder()

    def cancelled() -> bool:
        return stop_after is not None and bool(seen.events) and seen.events[-1].done_bytes >= stop_after

    partial = Partial(target, source.key)
    try:
        AddressFetch(source, expected_bytes=size, trusted_sum=trusted).fetch(partial, seen, cancelled)
        return partial.path.read_bytes()
    finally:
        partial.close()


def held(source: Address, target: Path) -> int:
    """How many bytes of a download a later run finds."""
    partial = Partial(target, source.key)
    partial.close()
    return partial.size


def test_a_plain_download(site: Site, target: Path, seen: Recorder) -> None:
    site.put(PATH, MODEL)
    assert fetch(site.address(PATH), target, seen=seen) == MODEL
    assert seen.stages() == ["download"]
    done = [event.done_bytes for event in seen.events]
    assert done == sorted(done)
    assert done[-1] == len(MODEL)
    assert {event.total_bytes for event in seen.events} == {len(MODEL)}


def test_a_dropped_connection_goes_on_where_it_broke(site: Site, target: Path, seen: Recorder) -> None:
    page = site.put(PATH, MODEL, script=[drop_after(1_000_000), drop_after(500_000)])
    assert fetch(site.address(PATH), target, seen=seen) == MODEL
    assert page.ranges_asked == [None, "bytes=1000000-", "bytes=1500000-"]
    assert page.conditions == [None, '"v1"', '"v1"']
    assert [event.detail for event in seen.events if event.stage == "retry"] == [
        "the connection ended early"
    ] * 2


def test_a_later_run_goes_on(site: Site, target: Path) -> None:
    page = site.put(PATH, MODEL)
    with pytest.raises(Cancelled):
        fetch(site.address(PATH), target, stop_after=1_000_000)
    kept = sum(path.stat().st_size for path in partial_files(target) if path.suffix == ".part")
    assert 1_000_000 <= kept < len(MODEL)
    assert fetch(site.address(PATH), target) == MODEL
    assert page.ranges_asked == [None, f"bytes={kept}-"]


def test_control_c_keeps_what_came(site: Site, target: Path) -> None:
    site.put(PATH, MODEL)
    source = site.address(PATH)
    partial = Partial(target, source.key)

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        AddressFetch(source, expected_bytes=None, trusted_sum=False).fetch(partial, interrupt, lambda: False)
    partial.close()
    assert held(source, target) > 0


def test_a_file_that_changed_meanwhile_starts_over(site: Site, target: Path) -> None:
    page = site.put(PATH, MODEL)
    with pytest.raises(Cancelled):
        fetch(site.address(PATH), target, stop_after=1_000_000)
    page.content, page.etag = OTHER, '"v2"'
    assert fetch(site.address(PATH), target) == OTHER


def test_a_server_that_ignores_if_range_is_caught_by_its_etag(site: Site, target: Path) -> None:
    page = site.put(PATH, MODEL)
    with pytest.raises(Cancelled):
        fetch(site.address(PATH), target, stop_after=1_000_000)
    page.content, page.etag = OTHER, '"v2"'
    start = held(site.address(PATH), target)
    page.script = [
        answer(
            206,
            OTHER[start:],
            Content_Range=f"bytes {start}-{len(OTHER) - 1}/{len(OTHER)}",
            ETag='"v2"',
        )
    ]
    assert fetch(site.address(PATH), target) == OTHER


def test_without_ranges_the_file_starts_over(site: Site, target: Path) -> None:
    page = site.put(PATH, MODEL, ranges=False, script=[drop_after(1_000_000)])
    assert fetch(site.address(PATH), target) == MODEL
    assert len(page.ranges_asked) == 2


@pytest.mark.parametrize(("trusted", "asked"), [(False, None), (True, "bytes=1000000-")])
def test_without_etag_a_range_needs_a_known_sum(
    site: Site, target: Path, trusted: bool, asked: str | None
) -> None:
    page = site.put(PATH, MODEL, etag=None, script=[drop_after(1_000_000)])
    assert fetch(site.address(PATH), target, trusted=trusted) == MODEL
    assert page.ranges_asked == [None, asked]


def test_weak_etags_do_not_count(site: Site, target: Path) -> None:
    page = site.put(PATH, MODEL, etag='W/"v1"', script=[drop_after(1_000_000)])
    assert fetch(site.address(PATH), target) == MODEL
    assert page.ranges_asked == [None, None]


@pytest.mark.parametrize("size", [None, len(MODEL)])
def test_a_finished_part_is_not_fetched_again(site: Site, target: Path, size: int | None) -> None:
    page = site.put(PATH, MODEL)
    fetch(site.address(PATH), target, size=size)
    assert fetch(site.address(PATH), target, size=size) == MODEL
    assert len(page.ranges_asked) == (2 if size is None else 1)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "it is not there"), (403, "access is refused"), (401, "a login is needed"), (451, "answers 451")],
)
def test_final_answers_are_not_repeated(site: Site, target: Path, status: int, reason: str) -> None:
    page = site.put(PATH, MODEL, script=[answer(status)] * 5)
    with pytest.raises(SourceUnavailable, match=reason):
        fetch(site.address(PATH), target)
    assert len(page.ranges_asked) == 1
    assert partial_files(target) == []


def test_a_struggling_server_gets_three_more_chances(site: Site, target: Path) -> None:
    site.put(PATH, MODEL, script=[answer(503, Retry_After="0"), answer(500), answer(429)])
    assert fetch(site.address(PATH), target) == MODEL
    page = site.put(PATH, MODEL, script=[answer(503)] * 9)
    with pytest.raises(SourceUnavailable, match="answers 503"):
        fetch(site.address(PATH), target)
    assert len(page.ranges_asked) == 4


def test_progress_gives_new_chances(site: Site, target: Path) -> None:
    big = gguf_bytes(12_000_000)
    page = site.put(PATH, big, script=[drop_after(1 << 20)] * 10)
    assert fetch(site.address(PATH), target) == big
    assert len(page.ranges_asked) == 11


def test_a_server_that_always_sends_too_little_is_given_up(site: Site, target: Path) -> None:
    page = site.put(PATH, MODEL, script=[drop_after(1000)] * 20)
    with pytest.raises(SourceUnavailable, match="ended early"):
        fetch(site.address(PATH), target)
    assert len(page.ranges_asked) == 4


def test_waiting_can_be_stopped(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch, seen: Recorder
) -> None:
    monkeypatch.setattr(https, "BACKOFF_S", (60.0,))
    site.put(PATH, MODEL, script=[answer(503)])
    with pytest.raises(Cancelled):
        fetch(site.address(PATH), target, seen=seen, stop_after=0)
    assert seen.stages() == ["retry"]


def test_another_size_than_expected_is_refused_at_once(site: Site, target: Path) -> None:
    site.put(PATH, MODEL)
    with pytest.raises(SourceUnavailable, match="3,000,000 bytes instead of 99"):
        fetch(site.address(PATH), target, size=99)
    assert partial_files(target) == []


@pytest.mark.parametrize("body", [b"<html>" * 1000, b"GG", b"GGUX" * 1000, b""])
def test_what_is_no_gguf_is_refused_at_once(site: Site, target: Path, body: bytes) -> None:
    site.put(PATH, body)
    with pytest.raises(SourceUnavailable, match="not a GGUF"):
        fetch(site.address(PATH), target)
    assert partial_files(target) == []


def test_a_server_must_say_how_large_the_file_is(site: Site, target: Path) -> None:
    site.put(PATH, MODEL, script=[answer(200, MODEL, Content_Length="many")])
    with pytest.raises(SourceUnavailable, match="how large"):
        fetch(site.address(PATH), target)


@pytest.mark.parametrize("content_range", ["bytes 5-10/99", "bytes */99", "lines 1-2/3", ""])
def test_ranges_that_were_not_asked_for(site: Site, target: Path, content_range: str) -> None:
    site.put(PATH, MODEL, script=[drop_after(1_000_000), answer(206, b"x", Content_Range=content_range)])
    with pytest.raises(SourceUnavailable, match="range"):
        fetch(site.address(PATH), target)


def test_compressed_answers_are_refused(site: Site, target: Path) -> None:
    site.put(PATH, MODEL, script=[answer(200, MODEL, Content_Encoding="gzip")])
    with pytest.raises(SourceUnavailable, match="compressed"):
        fetch(site.address(PATH), target)


def test_a_redirect_is_followed_and_the_range_goes_along(site: Site, target: Path) -> None:
    site.put("/old.gguf", b"", script=[answer(302, Location=PATH), answer(307, Location=site.url(PATH))])
    page = site.put(PATH, MODEL, script=[drop_after(1_000_000)])
    assert fetch(site.address("/old.gguf"), target) == MODEL
    assert page.ranges_asked == [None, "bytes=1000000-"]


def test_the_body_of_a_redirect_is_not_read(site: Site, target: Path) -> None:
    endless = answer(302, b"x", Content_Length="1000000000", Location=PATH)
    page = site.put("/old.gguf", b"", script=[endless])
    site.put(PATH, MODEL)
    assert fetch(site.address("/old.gguf"), target) == MODEL
    assert len(page.ranges_asked) == 1


def test_a_redirect_loop_ends(site: Site, target: Path) -> None:
    page = site.put(PATH, b"", script=[answer(302, Location=PATH)] * 50)
    with pytest.raises(SourceUnavailable, match="redirects are too many"):
        fetch(site.address(PATH), target)
    assert len(page.ranges_asked) < 8


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://example.org/m.gguf", "data:,x"]
)
def test_a_redirect_to_a_refused_place(site: Site, target: Path, location: str) -> None:
    site.put(PATH, b"", script=[answer(302, Location=location)])
    with pytest.raises(SourceUnavailable, match="redirects"):
        fetch(site.address(PATH), target)


def test_nobody_listens(target: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(SourceUnavailable, match="no connection"):
            fetch(Address(f"http://127.0.0.1:{port}/m.gguf"), target)


def test_silence_is_a_reason(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "TIMEOUT_S", 0.05)
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        pytest.raises(SourceUnavailable, match="no answer for"),
    ):
        fetch(Address(f"http://127.0.0.1:{mute.getsockname()[1]}/m.gguf"), target)


def test_no_room_is_said_before_the_download(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = disk.shutil.disk_usage(target.parent)._replace(free=1_000_000)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage)
    site.put(PATH, MODEL)
    with pytest.raises(StorageError, match=r"MB are needed and 1 MB are free"):
        fetch(site.address(PATH), target)
    assert partial_files(target) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/m.gguf",
        "http://127.0.0.1.example.org/m.gguf",
        "ftp://example.org/m.gguf",
        "file:///etc/passwd",
        "https://",
        "https:///m.gguf",
        "https://user:secret@example.org/m.gguf",
        "https://example.org:99999/m.gguf",
        "https://[::1/m.gguf",
        "https://example.org/m odel.gguf",
        "https://example.org/m\r\nHost: x.gguf",
        "https://example.org/\x1b[31m.gguf",
        "https://exämple.org/m.gguf",
    ],
)
def test_addresses_that_may_not_be_fetched(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_url(url)
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_http_is_for_loopback(host: str) -> None:
    assert check_url(f"http://{host}:80/m.gguf").path == "/m.gguf"
