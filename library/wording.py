"""Text from outside made safe to store in a line and to show on a terminal."""

from __future__ import annotations

import re
import unicodedata

_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_HARMLESS_FORMAT = frozenset({"\u200c", "\u200d"})  # joiners: part of spelling in some scripts

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def without_lone_surrogates(text: str) -> str:
    """`text` with U+FFFD for what cannot be encoded as UTF-8; every offset stays."""
    return _LONE_SURROGATE.sub("�", text)


def one_line(text: str, limit: int = 300) -> str:
    """`text` in one line of at most `limit` characters: no control, format or broken characters."""
    start = text[: 4 * limit]
    characters = (
        "�"
        if unicodedata.category(character) == "Cs"
        else " "
        if unicodedata.category(character) in _UNSAFE_CATEGORIES and character not in _HARMLESS_FORMAT
        else character
        for character in start
    )
    line = " ".join((start if start.isprintable() else "".join(characters)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
