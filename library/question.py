"""What of a question can be looked up: its terms, and the word sequences that stand in some text.

A question is data: it is analysed like a document, and every query is built from its terms.  No
character of it is query syntax.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tantivy

from library.analysis import stem_analyzer
from library.index import IndexView
from library.wording import without_lone_surrogates

_CHARS_MAX = 20_000
_SEQUENCE_MAX = 256
TERMS_MAX = 64
_PHRASE_WORDS_MAX = 12

# Weights against a term in the body.  Chosen on five question sets; the neighbourhood is flat
# (titles 0.5 to 2, phrases 0.5 to 1: at most 2 points of recall@3 either way).
_TITLE_WEIGHT = 1.0
_PHRASE_WEIGHT = 0.6


@dataclass(frozen=True, slots=True)
class Question:
    """`units` are what can be found on its own: a term is a tuple of one word, a phrase of several."""

    terms: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]

    @property
    def units(self) -> tuple[tuple[str, ...], ...]:
        return (*((term,) for term in self.terms), *self.phrases)


def read_question(text: str, passages: IndexView) -> Question:
    """Analyse a question against the passages of the library.

    The phrases are the longest sequences of two or more words of the question that stand in some
    passage: names, titles, fixed expressions, whether quoted and capitalised or not.

    However long the question, the work is bounded: the first 20,000 characters count, of their
    terms the 64 rarest in the library, and of these the first 256 places for phrases.
    """
    words = stem_analyzer().analyze(without_lone_surrogates(text[:_CHARS_MAX]))
    kept = set(_rarest(list(dict.fromkeys(words)), passages))
    sequence = [word if word in kept else None for word in words]
    places = [word for word in sequence if word is not None]
    phrases = _phrases(sequence, passages)
    return Question(tuple(dict.fromkeys(places)), tuple(dict.fromkeys(phrases)))


def _rarest(terms: list[str], view: IndexView) -> list[str]:
    if len(terms) <= TERMS_MAX:
        return terms
    counted = [(view.count(term), place, term) for place, term in enumerate(terms)]
    return [term for count, _, term in sorted(counted) if count][:TERMS_MAX]


def _phrases(sequence: Sequence[str | None], view: IndexView) -> list[tuple[str, ...]]:
    """Maximal phrases: none is part of the one before it.  None in `sequence` parts phrases."""
    found: list[tuple[str, ...]] = []
    reached = n_places = 0
    for start in range(len(sequence)):
        words: list[str] = []
        for word in sequence[start : start + _PHRASE_WORDS_MAX]:
            if word is None or (words and not view.holds(phrase_query(view, (*words, word)))):
                break
            words.append(word)
        n_places += bool(words)
        if len(words) > 1 and start + len(words) > reached:
            found.append(tuple(words))
            reached = start + len(words)
        if n_places >= _SEQUENCE_MAX:
            break
    return found


def phrase_query(view: IndexView, words: Sequence[str], field: str = "body") -> tantivy.Query:
    """The words in this order; a single word is a term.  (Tantivy aborts on a phrase of one word.)"""
    if len(words) == 1:
        return tantivy.Query.term_query(view.schema, field, words[0])
    return tantivy.Query.phrase_query(view.schema, field, list(words))


def question_query(view: IndexView, question: Question) -> tantivy.Query:
    """Any of the terms in body or title, any of the phrases in the body; BM25 sums."""
    parts = [phrase_query(view, (term,)) for term in question.terms]
    parts += [
        tantivy.Query.boost_query(phrase_query(view, (term,), "title"), _TITLE_WEIGHT)
        for term in question.terms
    ]
    parts += [
        tantivy.Query.boost_query(phrase_query(view, words), _PHRASE_WEIGHT) for words in question.phrases
    ]
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, part) for part in parts])
