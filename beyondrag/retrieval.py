"""Which whole documents a question is read from: search, then as many of the best as fit the context."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from beyondrag.evidence import FoldedText
from library.records import DocumentRecord, Hit, Volume
from library.store import Library

PASSAGES = 3
PINNED_SEARCH_LIMIT = 100
"""How deep the search looks for the passages of pinned documents."""
MAX_SUBJECT_WORDS = 12
LINK_DEPTH = 10
"""How deep the search looks for documents that better ones name by their titles."""
MIN_TITLE_LETTERS = 4
MAX_SHARE = 0.25
"""A name that more documents hold than this, such as the company's own, tells none from the others."""

_QUOTED = re.compile(r"[\"“][^\"”]{2,200}[\"”]")
_IN_BRACKETS = re.compile(r"\s*\([^()]*\)\s*$")
_WORD = re.compile(r"[^\W_]+(?:[-.'’][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A volume to read, with the hit that named its document."""

    hit: Hit
    volume: Volume
    n_volumes: int


@dataclass(frozen=True, slots=True)
class Found:
    """The hits to read, best first, and the names of documents that add nothing to them."""

    hits: tuple[Hit, ...]
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Selection:
    """What will be read, in order, and in words what did not fit."""

    candidates: tuple[Candidate, ...]
    left_out: tuple[str, ...]


def pinned_hits(library: Library, question: str, pinned: Sequence[DocumentRecord]) -> list[Hit]:
    """The pinned documents, each once, with what the search finds in them."""
    hits = library.search(question, limit=PINNED_SEARCH_LIMIT, passages=PASSAGES)
    by_id = {hit.document.id: hit for hit in hits}
    once = {document.id: document for document in pinned}
    return [by_id.get(document.id) or Hit(document, 0.0, ()) for document in once.values()]


def find(library: Library, question: str, top_k: int) -> Found:
    """The best `top_k` documents of the search, without those that add nothing (`narrow`).

    Others that they name, or that name them, take the free places (`linked`).
    """
    hits = library.search(question, limit=max(top_k, LINK_DEPTH), passages=PASSAGES)
    best = hits[:top_k]
    folded = {
        hit.document.id: FoldedText(f"{hit.document.title}\n{library.text(hit.document.id).text}")
        for hit in best
    }
    common = max(1.0, MAX_SHARE * library.count())
    names = {match[0]: library.n_holding(match[0]) <= common for match in named_words(question)}
    kept = narrow(names, best, folded)
    others = [hit for hit in hits if hit not in kept]
    read = [*kept, *linked(kept, others, folded)[: top_k - len(kept)]]
    return Found(tuple(read), tuple(hit.document.name for hit in best if hit not in read))


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


def narrow(names: Mapping[str, bool], hits: Sequence[Hit], folded: Mapping[str, FoldedText]) -> list[Hit]:
    """Leave out documents that hold fewer of the `names` of a question than better ones, and no other.

    A question about "the accident at Belen, NM" is read from the one report that mentions Belen; other
    reports with a pilot and an age could only mislead.  Documents that hold the same names all stay, and so
    do those that lack only names that tell nothing (False in `names`).  `folded` holds title and text of
    every hit by the document's id.
    """
    held: set[str] = set()
    kept: list[Hit] = []
    for hit in hits:
        own = {name for name in names if folded[hit.document.id].find(name) is not None}
        if own < held and any(names[name] for name in held - own):
            continue
        kept.append(hit)
        held |= own
    return kept


def linked(kept: Sequence[Hit], others: Sequence[Hit], folded: Mapping[str, FoldedText]) -> list[Hit]:
    """Those of `others` whose title stands in a kept document, or that hold the title of one.

    The second document of a question over two is often not named by the question but by the first
    document.  Titles that several hits share name nothing.  Only documents in `folded` are searched.
    """
    titles = Counter(_subject(hit) for hit in (*kept, *others))

    def names(hit: Hit, text: FoldedText | None) -> bool:
        title = _subject(hit)
        telling = titles[title] == 1 and sum(map(str.isalpha, title)) >= MIN_TITLE_LETTERS
        return telling and text is not None and text.find(title) is not None

    found = []
    for other in others:
        own = folded.get(other.document.id)
        if any(names(other, folded.get(hit.document.id)) or names(hit, own) for hit in kept):
            found.append(other)
    return found


def _subject(hit: Hit) -> str:
    """The document's title without what stands in brackets at its end: "Lilu (mythology)" is about Lilu."""
    return _IN_BRACKETS.sub("", hit.document.title).strip().casefold()


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
