"""From a question to documents and their best passages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import tantivy

from library.analysis import stem_analyzer
from library.errors import DocumentNotFound, LibraryDamaged
from library.index import IndexView, SearchIndex
from library.question import Question, question_query, read_question
from library.ranking import rank_documents
from library.records import DocumentRecord, DocumentText, Hit, Passage
from library.wording import without_lone_surrogates

_log = logging.getLogger(__name__)

_LIMIT_MAX = 100
_PASSAGES_MAX = 20
_WINDOWS_PER_PASSAGE = 4  # neighbours overlap: of these, the ones that do not are kept


def search_documents(
    index: SearchIndex,
    text: str,
    limit: int,
    n_passages: int,
    *,
    records: Callable[[list[int]], Mapping[int, DocumentRecord]],
    texts: Callable[[str], DocumentText],
) -> list[Hit]:
    """Up to `limit` documents in the order in which to read them, with up to `n_passages` passages.

    `records` gives the documents of index keys (those that still exist), `texts` the text of a
    document id.  An empty question, or one of whose words none occurs, finds nothing.
    A document whose text turns out damaged is left out, with a warning in the log.
    """
    limit = min(max(limit, 0), _LIMIT_MAX)
    n_passages = min(max(n_passages, 0), _PASSAGES_MAX)
    question = read_question(text, index.passages)
    if not question.terms or not limit:
        return []
    ranked = rank_documents(index, question, limit)
    known = records([key for key, _ in ranked])
    hits: list[Hit] = []
    for key, score in ranked:
        if key not in known:
            continue  # Removed by another process meanwhile.
        document = known[key]
        try:
            passages = _passages(index.passages, question, key, texts(document.id), n_passages)
        except (LibraryDamaged, DocumentNotFound) as error:
            _log.warning("left out of the results: %s", error)
            continue
        hits.append(Hit(document, score, passages))
    return hits


def _passages(
    view: IndexView, question: Question, key: int, text: DocumentText, wanted: int
) -> tuple[Passage, ...]:
    """The best passages of one document that do not overlap each other, best first."""
    this_document = tantivy.Query.const_score_query(tantivy.Query.term_query(view.schema, "key", key), 0.0)
    query = tantivy.Query.boolean_query(
        [(tantivy.Occur.Must, this_document), (tantivy.Occur.Should, question_query(view, question))]
    )
    found: list[Passage] = []
    for score, (start, end) in view.search(query, wanted * _WINDOWS_PER_PASSAGE, "start", "end"):
        overlaps = any(start < other.end and other.start < end for other in found)
        if overlaps or not score > 0 or not start < end <= len(text.text):
            continue
        found.append(Passage(start, end, text.page_at(start).label, text.text[start:end], score))
        if len(found) >= wanted:
            break
    return tuple(found)


def n_holding(view: IndexView, word: str) -> int:
    """The number of documents whose body holds `word`; of several terms the rarest counts."""
    terms = stem_analyzer().analyze(without_lone_surrogates(word))
    return min((view.count(term) for term in terms), default=0)
