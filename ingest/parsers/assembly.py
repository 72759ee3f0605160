"""The last step of most parsers: clean pages, a title, warnings, and a refusal when nothing is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ingest.errors import ParseFailure
from ingest.parsers.base import ParsedDocument, ParsedPage
from ingest.parsers.sanitise import direction_warning, sanitise
from ingest.parsers.sections import MAX_LABEL_CHARS
from ingest.parsers.titles import choose_title, shorten, title_in_text

MAX_WARNINGS = 20


def assemble(
    pages: Iterable[ParsedPage],
    *titles: str,
    stem: str,
    warnings: Iterable[str] = (),
    language: str | None = None,
) -> ParsedDocument:
    """A document of the `pages` that hold text; its title is the first of `titles` that is not empty,
    else what its text or its file is called.

    Raises:
        ParseFailure: "empty".
    """
    clean: list[ParsedPage] = []
    n_direction = 0
    for page in pages:
        text = sanitise(page.text)
        n_direction += text.n_direction
        if text.text.strip():
            clean.append(ParsedPage(shorten(page.label, MAX_LABEL_CHARS), text.text))
    if not clean:
        raise ParseFailure("empty", remedy="nothing to read; leave it out")
    title = choose_title(*titles, title_in_text(clean[0].text, stem), stem=stem)
    notes = (*bounded(warnings), *direction_warning(n_direction))
    return ParsedDocument(title, tuple(clean), notes, language)


def bounded(warnings: Iterable[str]) -> list[str]:
    """`warnings`, each once and on one line, at most `MAX_WARNINGS`, and then how many more there are."""
    counted = Counter(shorten(warning) for warning in warnings)
    shown = [text if n == 1 else f"{text} ({n} times)" for text, n in counted.items()]
    if len(shown) <= MAX_WARNINGS:
        return shown
    return [*shown[:MAX_WARNINGS], f"{len(shown) - MAX_WARNINGS} more warnings"]
