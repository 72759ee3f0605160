"""Which whole documents a question is read from: search, then as many of the best as fit the context."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from beyondrag.evidence import FoldedText
from library.records import DocumentRecord, Hit, Volume
from library.store import Library

PASSAGES = 3
PINNED_SEARCH_LIMIT = 100
"""How deep the search looks for the passages of pinned documents."""
MAX_SUBJECT_WORDS = 12

_QUOTED = re.compile(r"[\"“][^\"”]{2,200}[\"”]")
_WORD = re.compile(r"[^\W_]+(?:[-.'’][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A volume to read, with the hit that named its document."""

    hit: Hit
    volume: Volume
    n_volumes: int


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The hits that matter, and the names of documents that add nothing to them."""

    hits: tuple[Hit, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What will be read, in order, and in words what did not fit."""

    candidates: tuple[Candidate, ...]
    left_out: tuple[str, ...]


def find_hits(library: Library, question: str, pinned: Sequence[DocumentRecord], top_k: int) -> list[Hit]:
    """The pinned documents alone when there are any, each once, otherwise the best of the search."""
    if not pinned:
        return library.search(question, limit=top_k, passages=PASSAGES)
    hits = library.search(question, limit=PINNED_SEARCH_LIMIT, passages=PASSAGES)
    by_id = {hit.document.id: hit for hit in hits}
    once = {document.id: document for document in pinned}
    return [by_id.get(document.id) or Hit(document, 0.0, ()) for document in once.values()]


def select(
    hits: Sequence[Hit], volumes: Callable[[DocumentRecord], Sequence[Volume]], budget: int
) -> Selection:
    """As many volumes of `hits`, best first, as fit `budget` tokens.

    Of a document in several volumes the one that holds its best passage is read.
    """
    chosen: list[Candidate] = []
    left_out: list[str] = []
    room = max(budget, 0)
    for hit in hits:
        document = hit.document
        all_volumes = volumes(document)
        if not all_volumes:
            left_out.append(f"{document.name}: it has no text")
            continue
        volume = _volume_of_best_passage(hit, all_volumes)
        if volume.n_tokens > room:
            left_out.append(
                f"{document.name}: its {volume.n_tokens:,} tokens do not fit into the {room:,} left"
            )
            continue
        if len(all_volumes) > 1:
            others = len(all_volumes) - 1
            left_out.append(
                f"{document.name}: {others} of its {len(all_volumes)} volumes ({volume.label} is read)"
            )
        chosen.append(Candidate(hit, volume, len(all_volumes)))
        room -= volume.n_tokens
    return Selection(tuple(chosen), tuple(left_out))


def _volume_of_best_passage(hit: Hit, volumes: Sequence[Volume]) -> Volume:
    if hit.passages:
        start = hit.passages[0].start
        for volume in volumes:
            if volume.char_start <= start < volume.char_end:
                return volume
    return volumes[0]


def narrow(question: str, hits: Sequence[Hit], text_of: Callable[[DocumentRecord], str]) -> Narrowed:
    """Leave out documents that hold less of what the question names than better ones, and nothing else of it.

    A question about "the accident at Belen, NM" is read from the one report that mentions Belen; other
    reports with a pilot and an age could only mislead.  Documents that hold the same names all stay.
    """
    names = {m[0] for m in named_words(question)}
    held: set[str] = set()
    kept: list[Hit] = []
    dropped: list[str] = []
    for hit in hits:
        folded = FoldedText(f"{hit.document.title}\n{text_of(hit.document)}")
        own = {name for name in names if folded.find(name) is not None}
        if own < held:
            dropped.append(hit.document.name)
            continue
        kept.append(hit)
        held |= own
    return Narrowed(tuple(kept), tuple(dropped))


def named_words(question: str) -> list[re.Match[str]]:
    """The words that look like names, numbers or titles: capitalised (not the first), digits, in quotes."""
    quoted = [match.span() for match in _QUOTED.finditer(question)]
    words = []
    for index, match in enumerate(_WORD.finditer(question)):
        inside = any(start <= match.start() < end for start, end in quoted)
        if inside or match[0][0].isdigit() or (match[0][0].isupper() and index > 0):
            words.append(match)
    return words


def subjects(question: str, texts: Sequence[str]) -> list[str]:
    """What in the question names each document and none of the others, "" where nothing does.

    Only words that look like names or numbers count.  "Which happened first, the accident at Boquete,
    Panama or the one at White Plains, AL?" gives ["Boquete, Panama", "White Plains, AL"] for the two reports.
    """
    names = named_words(question)
    folded = [FoldedText(text) for text in texts]
    held = {m.start(): [text.find(m[0]) is not None for text in folded] for m in names}
    result = []
    for index in range(len(texts)):
        own = [m for m in names if held[m.start()][index] and sum(held[m.start()]) == 1]
        result.append(_phrase(question, own))
    return result


def _phrase(question: str, words: Sequence[re.Match[str]]) -> str:
    """The first run of `words` that stand next to one another in the question."""
    if not words:
        return ""
    start, end = words[0].start(), words[0].end()
    for match in words[1:MAX_SUBJECT_WORDS]:
        if question[end : match.start()].strip(" ,.-'\"") != "":
            break
        end = match.end()
    return question[start:end]
