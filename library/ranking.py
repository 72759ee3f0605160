"""Which documents a question needs: fused BM25, then coverage.

1. Every document gets the mean of two BM25 scores, each relative to the best one: that of the whole
   document, and that of its best passage.  Whole documents find what is spread out, passages what
   stands close together.
2. Documents are taken one by one.  What the ones already taken hold of the question counts less
   for the next: so "the accident at Belen or the one at Houston" brings both reports, not the best
   report and its lookalikes.

Measured: share of the development questions with all gold documents in the first three; terms
alone, with phrases, with phrases and coverage (tests/library/test_retrieval_quality.py).

    ntsb_qa, 83 of all types       1.00   1.00   1.00
    squad_articles, 90 single      1.00   1.00   1.00
    peps_qa, 32 single             0.97   0.97   1.00
    peps_qa, 32 compare            0.91   0.97   1.00
    hotpot_train100, 22 comparison 0.91   0.91   0.95
    hotpot_train100, 78 bridge     0.31   0.41   0.45
    lihua, 60 single               0.88   0.88   0.87
    lihua, 22 multi                0.18   0.32   0.27

Not covered: a second document that only the first one names ("the PEP that superseded ...").
"""

from __future__ import annotations

from collections.abc import Mapping

from library.index import SearchIndex
from library.question import Question, phrase_query, question_query

_DOCUMENT_DEPTH = 50
_PASSAGE_DEPTH = 300
_UNIT_DEPTH = 200
_CANDIDATES = 30
_CANDIDATES_PER_UNIT = 3
_COVERAGE_WEIGHT = 0.5

Scores = dict[int, float]


def rank_documents(index: SearchIndex, question: Question, limit: int) -> list[tuple[int, float]]:
    """The keys of up to `limit` documents in the order in which to take them, each with its fused
    score: 1.0 is a document that is best as a whole and by its passage.  Scores need not descend."""
    fused = _fused(index, question)
    if not fused:
        return []
    return [(key, fused.get(key, 0.0)) for key in _cover(fused, _unit_scores(index, question), limit)]


def _fused(index: SearchIndex, question: Question) -> Scores:
    documents, passages = index.documents, index.passages
    fused: Scores = {}
    for view, depth in ((documents, _DOCUMENT_DEPTH), (passages, _PASSAGE_DEPTH)):
        best: Scores = {}
        for score, (key,) in view.search(question_query(view, question), depth, "key"):
            best.setdefault(key, score)
        top = max(best.values(), default=0.0)
        for key, score in best.items():
            fused[key] = fused.get(key, 0.0) + (score / top / 2 if top > 0 else 0.0)
    return fused


def _unit_scores(index: SearchIndex, question: Question) -> list[Scores]:
    """For each term and phrase that occurs: the BM25 score of the documents that hold it."""
    view = index.documents
    found = [
        {key: score for score, (key,) in view.search(phrase_query(view, unit), _UNIT_DEPTH, "key")}
        for unit in question.units
    ]
    return [scores for scores in found if max(scores.values(), default=0.0) > 0]


def _cover(fused: Mapping[int, float], units: list[Scores], limit: int) -> list[int]:
    by_score = sorted(fused, key=lambda key: (-fused[key], key))
    candidates = by_score[: max(_CANDIDATES, limit)]
    for scores in units:
        holders = sorted(scores, key=lambda key: (-scores[key], key))
        candidates += holders[:_CANDIDATES_PER_UNIT]
    candidates = list(dict.fromkeys(candidates))

    tops = [max(scores.values()) for scores in units]
    total = sum(tops) or 1.0
    open_share = [1.0] * len(units)  # how much of each unit the documents taken so far leave open
    taken: list[int] = []

    def gain(key: int) -> float:
        covered = sum(share * scores.get(key, 0.0) for share, scores in zip(open_share, units, strict=True))
        return (1 - _COVERAGE_WEIGHT) * fused.get(key, 0.0) + _COVERAGE_WEIGHT * covered / total

    while candidates and len(taken) < limit:
        # The first is the best document as it is: coverage has nothing to add before it.
        chosen = max(candidates, key=gain) if taken else candidates[0]
        candidates.remove(chosen)
        taken.append(chosen)
        for number, scores in enumerate(units):
            left = 1 - scores.get(chosen, 0.0) / tops[number]
            open_share[number] = min(open_share[number], left)
    return taken
