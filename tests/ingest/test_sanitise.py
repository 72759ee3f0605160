"""Text from documents is harmless, and nothing else is lost."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.parsers.sanitise import direction_warning, sanitise

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))  # lone surrogates included
TROUBLE = st.text(alphabet="\x00\x07\x1b[31m\r\n\t\x85\x9b\u202e\u2066\u0301e\u212b\ud800\udc00a ")


@given(st.one_of(ANY_TEXT, TROUBLE))
@example("\x1b[\x1b[0m0m")
@example("\r\r\n")
def test_nothing_harmful_is_left_and_twice_is_once(text: str) -> None:
    clean = sanitise(text).text
    for char in clean:
        assert char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs")
        assert char not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    clean.encode("utf-8")
    assert unicodedata.is_normalized("NFC", clean)
    assert sanitise(clean).text == clean


@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "S", "Zs"))))
def test_ordinary_text_is_kept(text: str) -> None:
    assert sanitise(text).text == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("one\r\ntwo\rthree\n", "one\ntwo\nthree\n"),
        ("page\x0cpage", "page\npage"),
        ("\x1b[1;31mred\x1b[0m \x1b]0;title\x07", "red ]0;title"),
        ("a\x00b\x9bc", "abc"),
        ("e\u0301", "é"),
        ("\ud800x", "\ufffdx"),
        ("tab\tstays", "tab\tstays"),
    ],
)
def test_what_becomes_of_it(raw: str, clean: str) -> None:
    assert sanitise(raw).text == clean


def test_direction_characters_are_counted_and_told() -> None:
    result = sanitise("invoice\u202efdp.exe\u202c")
    assert result.text == "invoicefdp.exe"
    assert result.n_direction == 2
    assert direction_warning(result.n_direction) != ()
    assert direction_warning(0) == ()
