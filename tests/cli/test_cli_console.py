"""What reaches the terminal: plain text, no control characters, colours only where they are wanted."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyondrag.console import Console
from beyondrag.errors import UsageError
from beyondrag.progress import BarProgress, LineProgress, Pace
from beyondrag.quantities import bytes_in_words, seconds_in_words
from beyondrag.tables import columns
from beyondrag.terminal_text import escaped
from kvfiles.errors import StorageError


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def written(action, **options: object) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    action(Console(stdout=out, stderr=err, **options))  # type: ignore[arg-type] # the options of Console
    return out.getvalue(), err.getvalue()


@given(st.text())
def test_escaped_text_has_nothing_a_terminal_acts_on(text: str) -> None:
    shown = escaped(text)
    assert all(unicodedata.category(c) not in {"Cc", "Cs", "Zl", "Zp"} for c in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\ufeff")
    shown.encode("utf-8")
    assert escaped(shown) == shown


@given(st.text(alphabet=st.characters(whitelist_categories=["L", "M", "N", "P", "S", "Zs"])))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert escaped(text) == text


def test_a_line_stays_one_line_and_markup_stays_text() -> None:
    assert written(lambda c: c.out("[red]a\nb[/]\udcff"))[0] == "[red]a\\nb[/]\\udcff\n"


def test_streams_and_blocks_keep_line_breaks() -> None:
    assert written(lambda c: c.stream("a\nb\x1b]0;x\x07"))[0] == "a\nb\\x1b]0;x\\x07"
    assert written(lambda c: c.block("a\n\tb"))[0] == "a\n    b\n"


def test_what_the_encoding_lacks_is_escaped() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Console(stdout=out).out("Poznań")
    out.flush()
    assert raw.getvalue() == b"Pozna\\u0144\n"


def test_json_takes_undecodable_names() -> None:
    out, _ = written(lambda c: c.json({"path": "/a/\udcff", "n": [1, ("\udcff",)]}))
    assert out == '{"path":"/a/\\\\udcff","n":[1,["\\\\udcff"]]}\n'


@pytest.mark.parametrize(
    ("no_color", "color", "colored"), [("", True, True), ("1", True, False), ("", False, False)]
)
def test_colours(no_color: str, color: bool, colored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    terminal = Terminal()
    Console(stderr=terminal, color=color).error(StorageError("full"))
    assert ("\x1b[31m" in terminal.getvalue()) == colored
    assert "error: " in terminal.getvalue().replace("\x1b[0m", "")
    assert "\x1b" not in written(lambda c: c.warn("careful"))[1]


def test_confirm() -> None:
    for answer, expected in (("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False), ("", False)):
        console = Console(stdin=Terminal(answer), stderr=Terminal())
        assert console.confirm("Sure?") is expected


@pytest.mark.parametrize(
    "options", [{"stdin": io.StringIO("y\n")}, {"stdin": Terminal("y\n"), "wants_json": True}]
)
def test_confirm_needs_somebody(options: dict[str, object]) -> None:
    console = Console(stderr=Terminal(), **options)  # type: ignore[arg-type] # the options of Console
    with pytest.raises(UsageError) as caught:
        console.confirm("Sure?")
    assert "--yes" in caught.value.remedy


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_elsewhere_than_on_a_terminal_progress_is_a_line_every_ten_seconds() -> None:
    clock, lines = Clock(), []
    progress = LineProgress(lines.append, 1000, "tokens", clock=clock)
    for second in range(26):
        clock.now = 100.0 + second
        progress.update(20 * second, detail="a.pdf")
    assert lines == [
        "a.pdf · 20 % of 1,000 tokens · 20 tokens/s · 40 s left",
        "a.pdf · 40 % of 1,000 tokens · 20 tokens/s · 30 s left",
    ]


def test_the_rate_ignores_what_was_there_before_and_old_times() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.reached(1_000_000)
    assert pace.per_second == 0
    for second in range(1, 101):
        clock.now += 1
        pace.reached(1_000_000 + (second if second <= 50 else 50 + 10 * (second - 50)))
    assert pace.per_second == pytest.approx(10)
    pace.reached(0)
    assert pace.per_second == 0


def test_the_bar_is_on_stderr_and_notes_stand_above_it() -> None:
    terminal, out = Terminal(), io.StringIO()
    console = Console(stdout=out, stderr=terminal)
    with console.progress(200, "tokens") as progress:
        assert isinstance(progress, BarProgress)
        progress.update(100, detail="[bold]\x1b[2Ja.pdf")
        console.note("[red] b.pdf is ready")
        progress.update(200)
    text = terminal.getvalue()
    assert "[red] b.pdf is ready" in text
    assert "\x1b[2J" not in text
    assert out.getvalue() == ""
    console.note("after")
    assert terminal.getvalue().endswith("after\n")


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with Console(stderr=Terminal()).progress(1, "bytes") as progress:
        assert isinstance(progress, LineProgress)


def test_columns_count_wide_characters_and_escape() -> None:
    lines = columns(("name", "n"), [["日本", "1"], ["a\nb", "20"]], right={1})
    assert lines == ["name   n", "日本   1", "a\\nb  20"]


def test_the_flexible_column_is_cut_to_the_terminal() -> None:
    lines = columns(("title", "name"), [["日本" * 20, "a.pdf"], ["short", "b.pdf"]], flexible=0, width=30)
    assert lines[1] == "日本日本日本日本日本日…  a.pdf"
    assert lines[2] == "short" + " " * 20 + "b.pdf"
    assert columns(("title", "name"), [["x" * 100, "a"]], flexible=0)[1] == "x" * 100 + "  a"


def test_quantities() -> None:
    sizes = {0: "0 bytes", 999: "999 bytes", 1000: "1.00 kB", 98_362_432: "98.4 MB", 999_999: "1.00 MB"}
    sizes |= {1_117_320_768: "1.12 GB", 491_400_064: "491 MB", 5e15: "5000 TB"}
    assert {n: bytes_in_words(n) for n in sizes} == sizes
    times = {
        -1: "0.0 s",
        0.44: "0.4 s",
        9.99: "10 s",
        59.6: "1 min 00 s",
        185: "3 min 05 s",
        7800: "2 h 10 min",
    }
    assert {s: seconds_in_words(s) for s in times} == times
