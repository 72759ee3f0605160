"""All documents of a folder, parsed and indexed for as long as questions are drafted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from beyondrag.evidence import FoldedText
from eval.make_questions.checks import Draft, Stems, covers
from eval.make_questions.facts import Fact, facts_of
from eval.qa.filenames import FileNames
from library.passages import Window, cut_passages
from library.records import DocumentRecord, DocumentText
from library.store import Library

NEAR_DOCUMENTS, NEAR_PASSAGES = 5, 3


@dataclass(frozen=True, slots=True)
class Rival:
    """A passage of another place that holds all that a question names; `holds_answer` word for word."""

    title: str
    passage: str
    holds_answer: bool


class Collection:
    """The documents of an open library, without those whose file names are not valid Unicode: a set could not
    name them.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._documents = {one.id: one for one in library.documents() if all(map(_is_unicode, one.paths))}
        self._by_path = {path: one.id for one in self._documents.values() for path in one.paths}
        self._names = FileNames(self._by_path)
        self._stems = Stems()

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._documents)

    def document(self, document_id: str) -> DocumentRecord:
        return self._documents[document_id]

    def text(self, document_id: str) -> DocumentText:
        """The whole text."""
        return self._library.text(document_id)

    def names(self, document_id: str) -> tuple[str, ...]:
        """What a set calls the files of a document."""
        return tuple(self._names.shortest(path) for path in self._documents[document_id].paths)

    def named(self, name: str, *, subject: str) -> set[str]:
        """The documents that a set's name means; raises SetError (about `subject`) when there is none."""
        return {self._by_path[path] for path in self._names.find(name, subject=subject)}

    def facts(self, document_id: str) -> list[Fact]:
        """What a document could be asked about."""
        return list(facts_of(document_id, self.text(document_id)))

    def passage(self, fact: Fact) -> str:
        """The passage around a fact."""
        return self.text(fact.document_id).text[fact.window.start : fact.window.end]

    def stems(self, title: str, passage: str) -> frozenset[str]:
        """The words of a passage, and of the title that stands before it."""
        return self._stems.of(f"{title}\n{passage}")

    @property
    def stemmer(self) -> Stems:
        return self._stems

    def rivals(self, draft: Draft, fact: Fact, *, hidden: bool) -> Iterator[Rival]:
        """Other passages that hold every word of the question that the fact's own passage holds.

        Every passage of the fact's document (none when it will be `hidden`), and of the other documents those
        that a search for the question finds first.
        """
        asked = self._stems.asked(draft.question)
        title = self.document(fact.document_id).title
        gold = self.stems(title, self.passage(fact))
        for other, passage in self._others(draft, fact, hidden=hidden):
            if covers(asked, gold, self.stems(other, passage)):
                yield Rival(other, passage, FoldedText(passage).find(draft.answer) is not None)

    def _others(self, draft: Draft, fact: Fact, *, hidden: bool) -> Iterator[tuple[str, str]]:
        if not hidden:
            text, title = self.text(fact.document_id), self.document(fact.document_id).title
            for window in cut_passages(text):
                if not _overlap(window, fact):
                    yield title, text.text[window.start : window.end]
        hits = self._library.search(draft.question, limit=NEAR_DOCUMENTS + 1, passages=NEAR_PASSAGES)
        for hit in hits:
            if hit.document.id != fact.document_id:
                yield from ((hit.document.title, passage.text) for passage in hit.passages)

    def near_texts(self, draft: Draft, fact: Fact) -> list[str]:
        """The whole texts of the other documents that a search for the question finds first."""
        hits = self._library.search(draft.question, limit=NEAR_DOCUMENTS + 1, passages=0)
        return [self.text(hit.document.id).text for hit in hits if hit.document.id != fact.document_id]


def _overlap(window: Window, fact: Fact) -> bool:
    return window.start < fact.end and fact.start < window.end


def _is_unicode(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
