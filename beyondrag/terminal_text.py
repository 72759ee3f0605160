"""Text from documents, file names and models made safe to show on a terminal."""

from __future__ import annotations

import unicodedata

_ACTIVE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PART_OF_SPELLING = frozenset({"\u00ad", "\u200c", "\u200d"})  # soft hyphen and joiners


def escaped(text: str, keep: str = "") -> str:
    """`text` with everything that a terminal could act on written as an escape such as ``\\x1b``.

    Control and format characters, direction overrides, line separators and the lone surrogates of
    undecodable file names are escaped; characters in `keep` are not.  Spaces of all kinds stay.
    """
    if text.isprintable():
        return text
    return "".join(c if _harmless(c) or c in keep else _escape(c) for c in text)


def _harmless(character: str) -> bool:
    return unicodedata.category(character) not in _ACTIVE or character in _PART_OF_SPELLING


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
