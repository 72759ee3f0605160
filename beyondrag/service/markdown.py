"""Text of any origin as Markdown that shows it and does nothing else.

After CommonMark 0.31 (2.4: any ASCII punctuation may be escaped with a backslash) and GitHub's extensions
(tables, strikethrough, bare links, dollar signs for mathematics).
"""

from __future__ import annotations

import re

from beyondrag.terminal_text import escaped

_ACTIVE = re.compile(r"[\\`*_\[\]<>&~|$@]|(?<=\w)\.(?=[^\W\d])|:(?=//)")
"""The last two and `@` where bare text would become a link: "www.", "example.com", "https://", "a@b"."""
_LINE_START = re.compile(r"^(?:#|\+|-|=|:|\d+(?=[.)]))")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def inline(text: str) -> str:
    """`text` as Markdown within one line: white space is folded, nothing in it is active."""
    return _line(" ".join(escaped(text, keep="\n\t").split()))


def code(text: str) -> str:
    """`text` as a code span, in which nothing is active: for names of files."""
    shown = " ".join(escaped(text, keep="\n\t").split()) or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if "`" in shown else f"{fence}{shown}{fence}"


def paragraph(text: str, before: str = "") -> str:
    """`text` as Markdown, line by line, each begun with `before` ("> " for a quotation).

    Line breaks stay (as hard ones), blank lines part paragraphs, other white space is folded.
    """
    lines = [inline(line) for line in re.split(r"\r\n|[\n\r\f\v\x85\u2028\u2029]", text)]
    shown = []
    for index, line in enumerate(lines):
        goes_on = line and index + 1 < len(lines) and lines[index + 1]
        shown.append((before + line + ("\\" if goes_on else "")).rstrip())
    return "\n".join(shown).strip("\n")


def _line(text: str) -> str:
    shown = _ACTIVE.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), text)
    start = _LINE_START.match(shown)
    if start is None:
        return shown
    at = start.end() if start[0].isdigit() else 0
    return f"{shown[:at]}\\{shown[at:]}"
