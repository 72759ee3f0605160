"""What the child answers when a parser misbehaves, and how the wire ends."""

from __future__ import annotations

import io
from pathlib import Path

import orjson
import pytest

from ingest import frames, parse_child
from ingest.errors import ParseFailure
from ingest.parsers.base import Limits, ParsedDocument, ParsedPage


class Misbehaving:
    """A parser that raises or returns what it is told to."""

    name = "text"
    media_type = "text/plain"
    suffixes = frozenset({".txt"})

    def __init__(self, outcome: BaseException | ParsedDocument) -> None:
        self._outcome = outcome

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (MemoryError(), "memory"),
        (RecursionError("too deep"), "broken"),
        (ZeroDivisionError("division by zero"), "broken"),
        (OSError(5, "Input/output error"), "broken"),
        (ParseFailure("garbled"), "garbled"),
        (ParsedDocument("title", (ParsedPage("1", " \n"),), ()), "empty"),
        (ParsedDocument("title", (), ()), "empty"),
    ],
)
def test_every_outcome_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: BaseException | ParsedDocument, code: str
) -> None:
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.setattr(parse_child, "agreeing_parser", lambda *_: Misbehaving(outcome))
    reply = parse_child.answer(str(tmp_path / "a.txt"), {"parser": "text"}, Limits())
    assert reply["failure"]["code"] == code


def test_frames_come_back_as_they_went() -> None:
    values = [{"a": [1, "\u00e9"]}, [], "x" * 100_000]
    stream = io.BytesIO(b"".join(map(frames.pack, values)))
    assert [frames.read(stream) for _ in values] == values
    assert frames.read(stream) is None


@pytest.mark.parametrize("cut", [1, 3, 4, 8])
def test_a_cut_stream_is_noticed(cut: int) -> None:
    with pytest.raises(EOFError):
        frames.read(io.BytesIO(frames.pack("hello")[:cut]))


def test_a_frame_of_noise_is_noticed() -> None:
    with pytest.raises(orjson.JSONDecodeError):
        frames.read(io.BytesIO(frames.PREFIX.pack(3) + b"{]!"))
