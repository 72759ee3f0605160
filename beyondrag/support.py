"""Where a short answer stands in the documents, in a place that is about the question.

A model may copy one line and answer, rightly, from another.  The answer is then looked up: the place where
it stands with most of the question's own words around it is the evidence, if enough of them are there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from beyondrag.content import YES_NO, content_words
from beyondrag.evidence import Found, Word
from library.analysis import stem_analyzer

WORDS_BEFORE, WORDS_AFTER = 20, 13
"""Content words around the answer in which the question's are looked for: two or three sentences."""
MIN_COVERAGE = 0.3
"""Share of the question's words, rare ones counting more, that must stand around the answer.  Low, because
a question has its own words for things; the second reading refuses what stands there by chance."""

_WEIGHT_UNIT = 10**9

_ASKING = frozenset(
    "what which who whom whose when where why how many much did does do has have had will would can could "
    "than then there their they his her he she these those about into name named kind type".split()
)


@dataclass(frozen=True, slots=True)
class Support:
    """The answer stands at `place` of document `index`; `coverage` (0 to 1) of the question around it."""

    index: int
    place: Found
    coverage: float


def find_support(question: str, answer: str, texts: Sequence[str]) -> Support | None:
    """The place that supports `answer` best, or None when none covers MIN_COVERAGE of the question.

    Yes and no are looked up nowhere: a "no" near the question's words answers nothing.
    """
    wanted = [word.folded for word in content_words(answer)]
    if not wanted or wanted[0] in YES_NO:
        return None
    stems = _Stems()
    asked = {stems.of(w.folded) for w in content_words(question) if w.folded not in _ASKING}
    asked -= {stems.of(word) for word in wanted}
    best: Support | None = None
    for index, text in enumerate(texts):
        body = content_words(text)
        places = _places(body, wanted)
        if not places:
            continue
        spelled = [stems.of(word.folded) for word in body]
        for at, coverage in zip(places, _coverages(spelled, places, len(wanted), asked), strict=True):
            if coverage >= MIN_COVERAGE and (best is None or coverage > best.coverage):
                best = Support(index, Found(body[at].start, body[at + len(wanted) - 1].end), coverage)
    return best


def _coverages(spelled: Sequence[str], places: Sequence[int], n: int, asked: Set[str]) -> Iterator[float]:
    """The share of `asked` around each of the rising `places`, each `n` words long, of a text of stems.

    One window moves over the text, so that an answer on every line costs no more than one.
    """
    counts = Counter(spelled)
    # Whole numbers: sums do not depend on the order in which words come and go.
    weights = {stem: round(_WEIGHT_UNIT / math.log(2 + counts[stem])) for stem in asked}
    total = sum(weights.values())
    inside: Counter[str] = Counter()
    covered = first = last = 0
    for at in places:
        while last < min(at + n + WORDS_AFTER, len(spelled)):
            if (stem := spelled[last]) in weights:
                covered += weights[stem] if inside[stem] == 0 else 0
                inside[stem] += 1
            last += 1
        while first < at - WORDS_BEFORE:
            if (stem := spelled[first]) in weights:
                inside[stem] -= 1
                covered -= weights[stem] if inside[stem] == 0 else 0
            first += 1
        yield covered / total if total else 0.0


class _Stems:
    """English stems as the search index has them, each word analysed once."""

    def __init__(self) -> None:
        self._analyzer = stem_analyzer()
        self._known: dict[str, str] = {}

    def of(self, word: str) -> str:
        if word not in self._known:
            self._known[word] = " ".join(self._analyzer.analyze(word)) or word
        return self._known[word]


def wording(answer: str, text: str) -> str:
    """How `text` itself writes `answer` (case, numbers in words); `answer` where it holds no such run."""
    wanted, body = [word.folded for word in content_words(answer)], content_words(text)
    at = next(iter(_places(body, wanted)), None) if wanted else None
    return answer if at is None else text[body[at].start : body[at + len(wanted) - 1].end]


def _places(body: Sequence[Word], wanted: Sequence[str]) -> list[int]:
    """Where `wanted` stands as a run of content words."""
    n = len(wanted)
    starts = (i for i in range(len(body) - n + 1) if body[i].folded == wanted[0])
    return [i for i in starts if all(body[i + k].folded == wanted[k] for k in range(1, n))]
