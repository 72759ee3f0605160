"""Parts of the app that need no terminal: inbox, status, settings, safe text, finding, wrapping, wording."""

from __future__ import annotations

import gc
import re
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from samples import HOSTILE, READY, answer, quote_in, read, record, text

from beyondrag.events import Attached
from beyondrag.service.notices import (
    Answered,
    ContextMeter,
    Ingested,
    ModelMissing,
    Notice,
    Opening,
    Problem,
    Reading,
    Said,
)
from beyondrag.tui.config import DEFAULT_THEME, TuiConfig, config_path, load_config, save_config
from beyondrag.tui.finding import MAX_MATCHES, find_all
from beyondrag.tui.idle_collector import (
    IDLE_SECONDS,
    PATIENCE_SECONDS,
    IdleCollector,
    no_full_collections,
)
from beyondrag.tui.inbox import Inbox
from beyondrag.tui.safe_text import plain, safe, safe_line, same_length
from beyondrag.tui.status import Status
from beyondrag.tui.wording import answer_as_text, options_in_words, problem_in_words
from beyondrag.tui.wrapping import WrappedText
from beyondrag.turn import AskOptions

ACTIVE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


# ------------------------------------------------------------------------------- inbox


def test_the_inbox_keeps_order_and_wakes_once_a_batch() -> None:
    wakes: list[int] = []
    inbox = Inbox(lambda: wakes.append(1))
    for name in "abc":
        inbox.put(Opening(name))
    assert inbox.take() == [Opening("a"), Opening("b"), Opening("c")]
    assert len(wakes) == 1
    assert inbox.take() == []
    inbox.put(Opening("d"))
    assert len(wakes) == 2


def test_nothing_is_lost_between_threads() -> None:
    inbox = Inbox(lambda: None)
    senders = [
        threading.Thread(target=lambda k=k: [inbox.put(Opening(f"{k} {i}")) for i in range(500)])
        for k in range(4)
    ]
    for sender in senders:
        sender.start()
    seen: list[Notice] = []
    while any(sender.is_alive() for sender in senders):
        seen += inbox.take()
    seen += inbox.take()
    assert len(seen) == 2000
    for k in range(4):
        mine = [notice for notice in seen if isinstance(notice, Opening) and notice.model.startswith(f"{k} ")]
        assert mine == [Opening(f"{k} {i}") for i in range(500)]


def test_a_closed_inbox_drops_and_wakes_nobody() -> None:
    wakes: list[int] = []
    inbox = Inbox(lambda: wakes.append(1))
    inbox.close()
    inbox.put(Opening("late"))
    assert (inbox.take(), wakes) == ([], [])


# ------------------------------------------------------------------------------- collecting


def test_garbage_is_collected_when_nobody_waits() -> None:
    clock, collected = [0.0], []
    collector = IdleCollector(lambda: collected.append(clock[0]), lambda: clock[0])

    def look_every_second_until(end: float, *, busy: bool) -> None:
        while clock[0] < end:
            clock[0] += 1
            if busy:
                collector.touch()
            collector.look()

    look_every_second_until(100, busy=False)  # nothing happened yet
    assert collected == []
    look_every_second_until(200, busy=True)
    assert collected == []
    look_every_second_until(300, busy=False)  # once is enough
    assert collected == [200 + IDLE_SECONDS]
    look_every_second_until(1000, busy=True)  # hours of reading
    assert collected == [200 + IDLE_SECONDS, 200 + IDLE_SECONDS + PATIENCE_SECONDS]


def test_the_collector_of_the_process_is_put_back() -> None:
    before = gc.get_threshold()
    with no_full_collections():
        assert gc.get_threshold()[:2] == before[:2]
        assert gc.get_threshold()[2] > 1_000_000
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


# ------------------------------------------------------------------------------- status


def after(*notices: Notice) -> Status:
    status = Status()
    for notice in notices:
        status = status.after(notice)
    return status


def test_the_status_says_what_the_model_is_doing() -> None:
    assert after().parts() == ("starting",)
    assert after(Opening("m")).parts() == ("m: opening",)
    missing = ModelMissing("m", "Apache-2.0", 5, Problem("", "", "", ""))
    assert after(missing).parts() == ("m: no model",)
    assert after(Opening("m"), READY).parts()[:2] == (READY.model, "0 docs · 0/16.4k tok")


def test_the_status_line_of_the_design() -> None:
    """`3 docs · 21.4k/32k tok · kv 0.9 s · 12.1 tok/s` is what users of such tools look for."""
    done = answer("q", "a")
    meter = ContextMeter(4_031, 16_384, ("A", "B"), 2_000_000_000)
    status = after(
        READY, Said(1, "documents", Attached(9, 0.5)), Answered(1, "documents", done, read(()), ""), meter
    )
    assert status.parts() == (
        READY.model,
        "2 docs · 4.0k/16.4k tok",
        "kv 120 ms",
        "first 0.9 s",
        "11.8 tok/s",
        "2.00 GB",
    )


def test_background_work_is_shown_until_its_own_end() -> None:
    at_work = Reading(7, "d", "a.pdf", 0, 1, 50, 200, 50, 200, 95.0, 90.0, False)
    status = after(READY, at_work)
    assert "reading 25%, 1 min 30 s left" in status.parts()
    assert after(READY, at_work, Ingested(8, 0, 0, 0, 0.0, False, ())).work
    assert not after(READY, at_work, Ingested(7, 1, 1, 200, 2.0, False, ())).work


# ------------------------------------------------------------------------------- settings


def test_the_theme_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "app.json"
    save_config(TuiConfig("nord", path))
    assert load_config(path) == TuiConfig("nord", path)
    assert [file.name for file in path.parent.iterdir()] == ["app.json"]


def test_the_file_is_in_the_users_config_folder(isolated_user: Path) -> None:
    assert config_path() == isolated_user / "xdg-config" / "beyondrag" / "app.json"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b'{"theme": 3}',
        b'{"theme": ""}',
        b"\xff\x00",
        b'{"theme":"' + b"x" * 200_000,
    ],
)
def test_garbage_is_the_default(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "app.json"
    path.write_bytes(content)
    assert load_config(path) == TuiConfig(DEFAULT_THEME, path)


def test_a_folder_in_its_place_is_the_default(tmp_path: Path) -> None:
    assert load_config(tmp_path).theme == DEFAULT_THEME


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "app.json"
    save_config(TuiConfig("nord", path))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_config(TuiConfig("gruvbox", path))
    assert load_config(path).theme == "nord"
    assert [file.name for file in tmp_path.iterdir()] == ["app.json"]


# ------------------------------------------------------------------------------- safe text


@given(st.text())
def test_nothing_active_is_left(words: str) -> None:
    assert not ACTIVE.search(safe(words))
    assert not ACTIVE.search(safe_line(words))
    assert "\n" not in safe_line(words)
    assert not ACTIVE.search(plain(words).plain)


@given(st.text())
def test_same_length_moves_no_character(words: str) -> None:
    shown = same_length(words)
    assert len(shown) == len(words)
    assert not ACTIVE.search(shown)
    assert all(a == b for a, b in zip(words, shown, strict=True) if b not in "\ufffd ")


def test_hostile_text_is_spelled_out() -> None:
    shown = safe_line(HOSTILE)
    assert "[/] [bold]x[/bold]" in shown
    assert "\\x1b[31mred" in shown
    assert "\\u202egnp.exe" in shown


def test_a_long_line_is_cut() -> None:
    assert safe_line("a  b\n c", 4) == "a b…"


# ------------------------------------------------------------------------------- wrapping, finding


@settings(max_examples=300)
@given(st.text(alphabet="ab \n飞é\u0301-", max_size=80), st.integers(2, 12))
def test_wrapping_loses_and_overfills_nothing(words: str, width: int) -> None:
    rows = WrappedText(words, width)
    spans = [rows.row(index) for index in range(len(rows))]
    assert (spans[0][0], spans[-1][1]) == (0, len(words))
    for (_, end), (start, _) in pairwise(spans):
        assert words[end:start] in ("", "\n")
    for start, end in spans:
        assert "\n" not in words[start:end]
        assert cell_len(words[start:end].rstrip(" ")) <= width
    for offset in range(len(words)):
        start, end = rows.row(rows.row_at(offset))
        assert start <= offset <= end


def test_lines_break_at_spaces() -> None:
    rows = WrappedText("the pilot was old\n\nunbreakable", 9)
    assert [rows.text[slice(*rows.row(i))] for i in range(len(rows))] == [
        "the pilot ",
        "was old",
        "",
        "unbreakab",
        "le",
    ]


def test_words_are_found_across_lines_and_in_any_case() -> None:
    words = "The Pilot\n  was old. the pilot was (not) old."
    assert [words[a:b] for a, b in find_all(words, "the pilot was")] == ["The Pilot\n  was", "the pilot was"]
    assert [words[a:b] for a, b in find_all(words, "(not)")] == ["(not)"]
    assert find_all(words, "  ") == []
    assert len(find_all("a" * 20_000, "a")) == MAX_MATCHES


# ------------------------------------------------------------------------------- words


def test_a_copied_answer_names_its_sources() -> None:
    body, document = text(), record()
    source = quote_in(body, "page 2 line 7: the pilot was 7 years old.", document)
    done = answer("How old?", "He was 7.", (document,), (source,))
    assert answer_as_text(done, sources=False) == "He was 7."
    assert answer_as_text(done, sources=True) == (
        'He was 7.\n\nReport on the accident, page 2: "page 2 line 7: the pilot was 7 years old."'
    )


def test_a_copied_answer_cannot_act_on_a_terminal() -> None:
    document = record(title=HOSTILE)
    source = quote_in(text(), "page 1 line 0", document)
    copied = answer_as_text(answer("q", f"yes {HOSTILE}", (document,), (source,)), sources=True)
    assert not ACTIVE.search(copied.replace("\n", ""))


def test_an_unchecked_answer_says_so_when_copied() -> None:
    assert "unchecked" in answer_as_text(answer("q", "maybe", checked=False), sources=False)


def test_options_say_only_what_is_unusual() -> None:
    assert options_in_words(AskOptions(), ()) == ""
    unusual = AskOptions(top_k=1, exact=True, repair_tokens=32, check=False, max_tokens=99)
    assert options_in_words(unusual, ("Lease",)) == (
        "only: Lease · exact · at most 1 document · repair 32 tokens · not checked · at most 99 tokens"
    )


def test_a_problem_says_what_to_do() -> None:
    assert (
        problem_in_words(Problem("X", "it broke", "the disk", "free space"))
        == "the disk: it broke\nTry: free space"
    )
