"""What can be asked about: single statements of a text, each inside a passage of about 130 words.

Which statement is asked about is decided here and not by the model, which would take the first of every
document.  The order is drawn by hashes of the seed, so that a new document moves no other.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from library.passages import Window, cut_passages
from library.records import DocumentText
from library.wording import one_line

MIN_WORDS, MAX_WORDS = 5, 45
MIN_FIELD_WORDS = 3
MAX_CHARS = 320
MIN_LETTERS = 0.6
"""Share of letters, digits and spaces: less is a table, a formula or a ruler."""

_END = re.compile(
    r"(?<!\b[A-Z])(?<!\b(?:Dr|Mr|Ms|St|No|vs))(?<!\bMrs)[.!?][\"'”’)\]]*(?=\s)(?!\s+[a-z])"
    r"|\n\s*\n|\f"
    r"|\n(?=\s*(?:[-*•#|>]|\d+[.)]\s|[^\n:.]{2,40}:\s*\S))"
)
"""A statement ends with its sentence, its paragraph, its page, or before a list item or "field: value"."""
_FIELD = re.compile(r"[^\n:.]{2,40}:\s+\S[^\n]*\Z")
_WORD = re.compile(r"\S+")
_NO_STATEMENT = re.compile(r"[#|>]|.*[:?!]\Z", re.DOTALL)
_SPECIFIC = re.compile(r"\d|(?<=[\w,;)] )[A-Z]\w|[\"“]")
"""A number, a name, something quoted: what a short answer can repeat word for word."""


@dataclass(frozen=True, slots=True)
class Fact:
    """The statement ``text[start:end]`` of a document, inside the passage `window` of the same text.

    `said` is the statement in one line.
    """

    document_id: str
    start: int
    end: int
    window: Window
    said: str

    @property
    def key(self) -> str:
        """16 hex digits for document and place."""
        return _digest(self.document_id, str(self.start), str(self.end))[:16]


def facts_of(document_id: str, text: DocumentText) -> Iterator[Fact]:
    """The statements of a document that a question could be about, in order, none twice."""
    windows = list(cut_passages(text))
    first = 0
    for start, end in _statements(text.text):
        while first < len(windows) and windows[first].end < end:
            first += 1
        holding = [w for w in windows[first : first + 3] if w.start <= start and end <= w.end]
        if holding and is_worth_asking(text.text[start:end]):
            centre = (start + end) / 2
            best = min(holding, key=lambda w: abs((w.start + w.end) / 2 - centre))
            yield Fact(document_id, start, end, best, one_line(text.text[start:end], MAX_CHARS))


def _statements(text: str) -> Iterator[tuple[int, int]]:
    position = 0
    for found in [*_END.finditer(text), None]:
        end = len(text) if found is None else found.end()
        part = text[position:end]
        start = position + len(part) - len(part.lstrip())
        if part.strip():
            yield start, start + len(part.strip())
        position = end


def is_worth_asking(statement: str) -> bool:
    """Whether a statement holds something specific, and is neither too short nor too long to ask about."""
    if len(statement) > MAX_CHARS or _NO_STATEMENT.match(statement):
        return False
    n_words = sum(1 for _ in _WORD.finditer(statement))
    is_field = _FIELD.match(statement) is not None
    if not (MIN_FIELD_WORDS if is_field else MIN_WORDS) <= n_words <= MAX_WORDS:
        return False
    plain = sum(char.isalnum() or char.isspace() for char in statement)
    return plain >= MIN_LETTERS * len(statement) and (is_field or _SPECIFIC.search(statement) is not None)


def in_turn(facts: Iterable[Iterable[Fact]], seed: int) -> Iterator[Fact]:
    """One statement of each document after another, those of a document in drawn order.

    What is said more than once (forms, notices, letterheads) tells no document from another and is left out.
    """
    found = [list(own) for own in facts]
    said = Counter(fact.said.casefold() for own in found for fact in own)
    single = ([fact for fact in own if said[fact.said.casefold()] == 1] for own in found)
    drawn = [sorted(own, key=lambda fact: _digest(str(seed), fact.key)) for own in single]
    for turn in zip_longest(*drawn):
        yield from (fact for fact in turn if fact is not None)


def drawn_documents(document_ids: Iterable[str], seed: int, purpose: str) -> list[str]:
    """The documents in an order drawn by `seed`, another one for each purpose."""
    return sorted(document_ids, key=lambda one: _digest(str(seed), purpose, one))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
