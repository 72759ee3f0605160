"""Bytes of a text file -> characters.

A byte order mark decides; else UTF-8; else UTF-16 without a mark; else the 8-bit or East Asian
encoding that charset-normalizer finds likeliest on a sample.  Bytes that do not fit are replaced by
U+FFFD and counted.  Data that is no text at all is refused.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from ingest.errors import ParseFailure

_MARKS = (  # UTF-32 before UTF-16: their little-endian marks start alike
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SIGNATURES = (
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x1f\x8b\x08", "gzip data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"(\xb5/\xfd", "zstd data"),
    (b"\x7fELF", "a program"),
    (b"GGUF", "a GGUF model"),
    (b"SQLite format 3\x00", "an SQLite database"),
)
_NOT_IN_TEXT = bytes(set(range(32)) - set(b"\b\t\n\v\f\r\x1b")) + b"\x7f"
_MAX_CONTROL_SHARE = 0.02  # random bytes hold 10 %
_MAX_CONTROL_STRAYS = 3  # are forgiven in the shortest text
_HIGH_BYTE = re.compile(rb"[\x80-\xff]")
_SAMPLE_BYTES = 32_768
_SAMPLE_REACH = 256
_FALLBACK = "cp1252"
_CANDIDATES = (  # commonest first
    "cp1252", "cp1251", "gb18030", "shift_jis", "euc_jp", "euc_kr", "big5", "cp1250", "cp1254",
    "cp1253", "cp1255", "cp1256", "cp1257", "koi8_r", "mac_roman", "cp850", "cp437",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decoded:
    """Characters, the encoding they were read in, and what the reader should be told."""

    text: str
    encoding: str
    warnings: tuple[str, ...]


def decode(data: bytes) -> Decoded:
    """Read `data` as text.

    Raises:
        ParseFailure: "binary".
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _replacing(data[len(mark) :], encoding)
    for signature, what in _SIGNATURES:
        if data.startswith(signature):
            raise ParseFailure("binary", detail=f"it looks like {what}")
    wide = _unmarked_utf16(data)
    if wide is not None:
        return wide
    n_control = len(data) - len(data.translate(None, _NOT_IN_TEXT))
    if n_control > max(_MAX_CONTROL_STRAYS, _MAX_CONTROL_SHARE * len(data)):
        raise ParseFailure("binary", detail=f"{n_control / len(data):.0%} control bytes")
    try:
        return Decoded(data.decode("utf-8"), "utf-8", ())
    except UnicodeDecodeError:
        pass
    damaged = _replacing(data, "utf-8")
    n_replaced = damaged.text.count("\ufffd")
    n_intact = len(damaged.text) - len(damaged.text.encode("ascii", errors="ignore")) - n_replaced
    if n_intact > 4 * n_replaced:
        return damaged
    encoding = _likeliest_encoding(data)
    guessed = _replacing(data, encoding)
    guess = f"not UTF-8: read as {encoding}, which is a guess"
    return Decoded(guessed.text, encoding, (guess, *guessed.warnings))


def _replacing(data: bytes, encoding: str) -> Decoded:
    try:
        return Decoded(data.decode(encoding), encoding, ())
    except UnicodeDecodeError:
        text = data.decode(encoding, errors="replace")
    count = text.count("\ufffd")
    return Decoded(text, encoding, (f"{count} places were not valid {encoding} and were replaced",))


def _unmarked_utf16(data: bytes) -> Decoded | None:
    """UTF-16 without a mark shows as NULs in every second byte of Latin text."""
    head = data[:4096]
    if len(head) < 4 or len(data) % 2:
        return None
    half = len(head) / 2
    even, odd = head[0::2].count(0) / half, head[1::2].count(0) / half
    if even < 0.05 and odd > 0.4:
        encoding = "utf-16-le"
    elif odd < 0.05 and even > 0.4:
        encoding = "utf-16-be"
    else:
        return None
    try:
        return Decoded(data.decode(encoding), encoding, ())
    except UnicodeDecodeError:
        return None


def _likeliest_encoding(data: bytes) -> str:
    from charset_normalizer import from_bytes

    matches = list(from_bytes(_telling_sample(data), cp_isolation=list(_CANDIDATES)))
    if not matches:
        return _FALLBACK
    # Related code pages often score alike: then the commonest is the best guess.
    best = matches[0]
    alike = {
        name
        for match in matches
        if match.chaos <= best.chaos and match.coherence >= best.coherence - 0.05
        for name in match.could_be_from_charset
    }
    return next((name for name in _CANDIDATES if name in alike), best.encoding)


def _telling_sample(data: bytes) -> bytes:
    """The surroundings of the bytes above 127: the rest of the file tells nothing."""
    pieces: list[bytes] = []
    position = n_bytes = 0
    while n_bytes < _SAMPLE_BYTES and (match := _HIGH_BYTE.search(data, position)):
        end = match.start() + _SAMPLE_REACH
        piece = data[max(position, match.start() - _SAMPLE_REACH) : end]
        pieces.append(piece)
        n_bytes += len(piece)
        position = end
    return b"".join(pieces)
