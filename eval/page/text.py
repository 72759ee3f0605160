"""Text of a report made harmless, and the little markup that prose may hold.

Escaping for HTML is not done here: the template engine and the SVG writer escape everything they are
given.  This removes what survives escaping: control characters and characters that turn the writing
direction are shown as escapes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from beyondrag.terminal_text import escaped

MAX_ANSWER_CHARS = 4_000
MAX_PASSAGE_CHARS = 24_000

_INLINE = re.compile(r"`([^`\n]+)`|\*\*([^*\n]+)\*\*")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|!~&])")


@dataclass(frozen=True, slots=True)
class Span:
    """A run of text of one kind."""

    text: str
    kind: Literal["plain", "code", "strong", "mark"] = "plain"


def visible(text: str) -> str:
    """`text` without characters that act: they are shown as escapes such as ``\\u202e``."""
    return escaped(text.replace("\r\n", "\n"), keep="\n\t")


def spans(prose: str) -> tuple[Span, ...]:
    """The runs of a paragraph."""
    found: list[Span] = []
    at = 0
    for match in _INLINE.finditer(prose):
        found += [Span(prose[at : match.start()])] if match.start() > at else []
        found.append(Span(match[1], "code") if match[1] else Span(match[2], "strong"))
        at = match.end()
    return (*found, Span(prose[at:])) if at < len(prose) else tuple(found)


def marked(text: str, quotes: Sequence[str]) -> tuple[Span, ...]:
    """`text` with the first occurrence of each quote marked; quotes that overlap an earlier one are not."""
    taken: list[tuple[int, int]] = []
    for quote in quotes:
        start = text.find(quote) if quote.strip() else -1
        end = start + len(quote)
        if start >= 0 and all(end <= a or start >= b for a, b in taken):
            taken.append((start, end))
    found: list[Span] = []
    at = 0
    for start, end in sorted(taken):
        found += [Span(text[at:start])] if start > at else []
        found.append(Span(text[start:end], "mark"))
        at = end
    return (*found, Span(text[at:])) if at < len(text) else tuple(found)


def shortened(text: str, limit: int) -> tuple[str, int]:
    """The first `limit` characters of `text` and how many were left out."""
    return text[:limit], max(len(text) - limit, 0)


def markdown_text(text: str) -> str:
    """`text` as one line of Markdown that shows just that."""
    return _MARKDOWN.sub(r"\\\1", " ".join(visible(text).split()))


def markdown_prose(prose: str) -> str:
    """A paragraph as Markdown, its code and strong runs kept."""
    parts = {"code": "`{}`", "strong": "**{}**"}
    return "".join(
        parts.get(span.kind, "{}").format(
            visible(span.text) if span.kind == "code" else _MARKDOWN.sub(r"\\\1", visible(span.text))
        )
        for span in spans(" ".join(prose.split()))
    )
