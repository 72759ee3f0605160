"""Text from documents, file names, models and errors as content that neither acts nor is parsed."""

from __future__ import annotations

from textual.content import Content

from beyondrag.terminal_text import escaped


def safe(text: str) -> str:
    """`text` without anything a terminal could act on: escapes, controls and direction marks are spelled
    out.  Line breaks stay, tabs become spaces."""
    return escaped(text.replace("\r\n", "\n").expandtabs(4), keep="\n")


def safe_line(text: str, limit: int = 0) -> str:
    """`text` on one line, white space run together; longer than `limit` (0: no limit) it is cut with "…"."""
    line = escaped(" ".join(text.split()))
    return line if not limit or len(line) <= limit else line[: max(limit - 1, 0)] + "…"


def plain(text: str, style: str = "") -> Content:
    """`text` made safe, as content in one style.  Nothing in it is markup."""
    content = Content(safe(text))
    return content.stylize(style) if style else content


def same_length(text: str) -> str:
    """`text` made safe without moving any character: what could act on a terminal becomes U+FFFD, a tab a
    space.  Line breaks stay; offsets into `text` stay true."""
    if text.isascii() and text.isprintable():
        return text
    active = {ord(c): "\ufffd" for c in set(text) if c != "\n" and escaped(c) != c}
    if ord("\t") in active:
        active[ord("\t")] = " "
    return text.translate(active) if active else text
