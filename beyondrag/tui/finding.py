"""Looking for words in a text that is on the screen."""

from __future__ import annotations

import re

MAX_MATCHES = 10_000
_MAX_WORDS_LENGTH = 200


def find_all(text: str, words: str) -> list[tuple[int, int]]:
    """Where `words` stand: ranges in order, capitals and line breaks aside; at most `MAX_MATCHES`.

    White space in `words` fits any white space, so that a phrase is found across the lines of a page.
    """
    pattern = r"\s+".join(re.escape(word) for word in words[:_MAX_WORDS_LENGTH].split())
    if not pattern:
        return []
    found = []
    for match in re.finditer(pattern, text, re.IGNORECASE):
        found.append(match.span())
        if len(found) == MAX_MATCHES:
            break
    return found
