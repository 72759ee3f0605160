"""Pages made of headings: each section is cited by the path of the headings above it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.parsers.base import ParsedPage
from ingest.parsers.titles import shorten

MAX_LABEL_CHARS = 80
PREAMBLE_LABEL = "beginning"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading in a text: where its line starts, its level (1 the highest), its words."""

    start: int
    level: int
    text: str


class HeadingPath:
    """Where one is among the headings of a document.

    `levels` are the levels (1 the highest) of all its headings, in order: a single level-1 heading at the
    top is the document's title, and repeating it in every label says nothing.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        self._title_only = bool(levels) and levels[0] == 1 and all(level > 1 for level in levels[1:])
        self._path: list[tuple[int, str]] = []
        self._n_entered = 0

    def enter(self, level: int, text: str) -> str:
        """The label of the section under the next heading, ``3 Risks > 3.2 Currency``."""
        heading = shorten(text)
        self._path = [parent for parent in self._path if parent[0] < level]
        label = path_label([*(parent for _, parent in self._path), heading])
        if not (self._title_only and self._n_entered == 0):
            self._path.append((level, heading))
        self._n_entered += 1
        return label


def path_label(path: Sequence[str]) -> str:
    """``3 Risks > 3.2 Currency``; what is too long loses its outer headings first."""
    label = " > ".join(path)
    if len(label) <= MAX_LABEL_CHARS:
        return label
    kept = path[1:]
    while kept and len(label := "… > " + " > ".join(kept)) > MAX_LABEL_CHARS:
        kept = kept[1:]
    return label if kept else shorten(path[-1], MAX_LABEL_CHARS)


def heading_pages(text: str, headings: Sequence[Heading]) -> Iterator[ParsedPage]:
    """`text` cut before each of its `headings`, of which there is at least one; nothing is left out."""
    position = headings[0].start
    if text[:position].strip():
        yield ParsedPage(PREAMBLE_LABEL, text[:position])
    else:
        position = 0
    path = HeadingPath([heading.level for heading in headings])
    ends = [heading.start for heading in headings[1:]] + [len(text)]
    for heading, end in zip(headings, ends, strict=True):
        yield ParsedPage(path.enter(heading.level, heading.text), text[position:end])
        position = end
