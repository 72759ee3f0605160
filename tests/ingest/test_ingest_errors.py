"""Errors say what is wrong, about what, and what to do, and are safe to print."""

from __future__ import annotations

import os

import pytest

from ingest.errors import FAILURE_CODES, IngestError, ParseFailure, printable

CODES = {
    "encrypted", "scanned", "garbled", "broken", "empty", "binary", "too-large",
    "timeout", "members", "memory", "vanished", "changed", "no-permission", "unsupported",
}  # fmt: skip


def test_every_code_has_a_message_and_a_remedy() -> None:
    assert set(FAILURE_CODES) == CODES
    for code, (message, remedy) in FAILURE_CODES.items():
        failure = ParseFailure(code, subject="/a/b.pdf")
        assert isinstance(failure, IngestError)
        assert (failure.code, failure.message, failure.remedy) == (code, message, remedy)
        assert str(failure) == f"/a/b.pdf: {message} ({remedy})"


def test_an_unknown_code_is_a_mistake_of_the_program() -> None:
    with pytest.raises(KeyError):
        ParseFailure("bored")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain ü 語 name.txt", "plain ü 語 name.txt"),
        ("[red]\x1b[31m.txt", "[red]\\x1b[31m.txt"),
        ("a\nb\u202egpj.exe", "a\\nb\\u202egpj.exe"),
        (os.fsdecode(b"\xff.txt"), "\\udcff.txt"),
    ],
)
def test_names_are_shown_without_effects(raw: str, shown: str) -> None:
    assert printable(raw) == shown
    assert str(ParseFailure("broken", subject=raw, detail="x\x1b]0;y\x07" * 100)).isprintable()


def test_details_are_bounded() -> None:
    assert len(ParseFailure("broken", detail="long " * 1000).message) < 300
