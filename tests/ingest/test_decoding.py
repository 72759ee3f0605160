"""Bytes of text files in the encodings that occur, and bytes that are no text."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import ParseFailure
from ingest.parsers.decoding import decode

FRENCH = "Le café près de la forêt est fermé à midi; où êtes-vous?\n" * 4
RUSSIAN = "Самолёт приземлился без повреждений, пилот не пострадал.\n" * 4
JAPANESE = "東京は日本の首都です。会社の年次報告書をここに示します。\n" * 4


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs"))))
def test_utf8_is_read_as_written(text: str) -> None:
    raw = text.encode("utf-8")
    if not raw.startswith((b"\xef\xbb\xbf", b"GIF8", b"GGUF")):
        decoded = decode(raw)
        assert (decoded.text, decoded.warnings) == (text, ())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("text", [FRENCH, RUSSIAN, JAPANESE])
def test_a_byte_order_mark_decides(encoding: str, text: str) -> None:
    decoded = decode(text.encode(encoding))
    assert (decoded.text, decoded.warnings) == (text, ())


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_recognised(encoding: str) -> None:
    assert decode(FRENCH.encode(encoding)).text == FRENCH


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (FRENCH, "cp1252"),
        ("Le café est fermé.", "cp1252"),
        ("word " * 20_000 + "naïve “quote”", "cp1252"),  # the only telling bytes stand at the very end
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8_r"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
    ],
)
def test_old_encodings_are_guessed_and_the_guess_is_told(text: str, encoding: str) -> None:
    decoded = decode(text.encode(encoding))
    assert decoded.text == text
    assert any("guess" in warning for warning in decoded.warnings)


def test_a_few_bad_bytes_in_utf8_are_replaced_and_counted() -> None:
    decoded = decode(FRENCH.encode("utf-8") + b"\xff and \xc3\x28")
    assert decoded.encoding == "utf-8"
    assert decoded.text == FRENCH + "\ufffd and \ufffd("
    assert decoded.warnings == ("2 places were not valid utf-8 and were replaced",)


def test_half_a_character_of_utf16_is_replaced_and_told() -> None:
    decoded = decode("day".encode("utf-16") + b"x")
    assert decoded.text == "day\ufffd"
    assert len(decoded.warnings) == 1


@pytest.mark.parametrize(
    "data",
    [
        random.Random(0).randbytes(5000),
        bytes(4096),
        b"PK\x03\x04" + b"some text " * 50,
        b"\x89PNG\r\n\x1a\n" + b"plain",
        b"GGUF\x03\x00\x00\x00",
        b"text\x00with\x01many\x02control\x03bytes",
    ],
)
def test_binary_data_is_refused(data: bytes) -> None:
    with pytest.raises(ParseFailure) as caught:
        decode(data)
    assert caught.value.code == "binary"
    assert caught.value.remedy


def test_a_stray_nul_does_not_make_a_log_binary() -> None:
    assert decode(b"a line of a log file\n" * 100 + b"\x00").text.startswith("a line")
