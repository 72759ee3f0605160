"""Makes text from a document harmless: for terminals, for the index, for the model.

Line ends become ``\\n``; terminal sequences, control characters (but ``\\n`` and ``\\t``) and
characters that change the writing direction are removed; lone surrogates become U+FFFD; the rest is
put into Unicode form NFC.  Applying it twice changes nothing more.

Not covered: zero-width characters and look-alike letters stay as they are.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_TERMINAL_SEQUENCE = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]")
_LINE_END = re.compile("\r\n?|[\v\f\x1c\x1d\x1e\x85]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Sanitised:
    """Clean text and how many direction characters were taken out of it."""

    text: str
    n_direction: int


def sanitise(text: str) -> Sanitised:
    """Clean `text`; see the module's description for what changes."""
    if text.isascii() and not _CONTROL.search(text):
        return Sanitised(text, 0)
    if "\x1b" in text:
        text = _TERMINAL_SEQUENCE.sub("", text)
    text = _LINE_END.sub("\n", text)
    text = _CONTROL.sub("", text)
    text, n_direction = _DIRECTION.subn("", text)
    text = _SURROGATE.sub("\ufffd", text)
    return Sanitised(unicodedata.normalize("NFC", text), n_direction)


def direction_warning(n_direction: int) -> tuple[str, ...]:
    """The warning for removed direction characters; none when nothing was removed."""
    if not n_direction:
        return ()
    return (f"{n_direction} hidden characters that turn the writing direction were removed",)
