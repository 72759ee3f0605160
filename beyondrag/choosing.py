"""The documents that a question is read from, described for whoever watches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from beyondrag.answering import ReadDocument
from beyondrag.asking import reply_room
from beyondrag.desk import Desk
from beyondrag.errors import UsageError
from beyondrag.events import ChosenDocument, Source
from beyondrag.evidence import FoldedText
from beyondrag.query import Query
from beyondrag.retrieval import Candidate, Found, Selection, find, pinned_hits, select
from ingest.pipeline import volumes_of
from library.records import DocumentRecord, Volume


@dataclass(frozen=True, slots=True)
class Choice:
    """Volumes to read and how they are shown, both in reading order.

    `aside` says in words which documents were found and left out because they add nothing.
    """

    selection: Selection
    documents: tuple[ChosenDocument, ...]
    aside: tuple[str, ...] = ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """Everything that was found and is not read, in words."""
        return (*self.aside, *self.selection.left_out)

    @property
    def nearest(self) -> tuple[Source, ...]:
        """The best passages of the search: what to look at when there is no answer."""
        nearest = []
        for candidate in self.selection.candidates:
            document = candidate.hit.document
            for passage in candidate.hit.passages[:1]:
                place = (passage.page, passage.text, passage.start, passage.end)
                nearest.append(Source(document.id, document.path, document.title, *place))
        return tuple(nearest)


class Chooser:
    """Chooses for one question.

    `relocatable` says whether snapshots can stand anywhere, or only in the first place.
    """

    def __init__(self, desk: Desk, *, top_k: int, max_tokens: int, exact: bool, relocatable: bool) -> None:
        self._desk, self._top_k, self._max_tokens = desk, top_k, max_tokens
        self._exact, self._relocatable = exact, relocatable

    def choose(self, query: Query, pinned: Sequence[DocumentRecord]) -> Choice:
        """The `pinned` documents, or else the best of the search, as many as fit the context.

        Raises UsageError when question and reply take the whole context.
        """
        desk = self._desk
        n_question = self.question_tokens(query)
        if pinned:
            found = Found(tuple(pinned_hits(desk.library, query.search, pinned)))
        else:
            found = find(desk.library, query.search, self._top_k)
        taken = len(desk.prefix) + n_question + reply_room(len(found.hits), self._max_tokens)
        room = desk.context.n_ctx - taken
        if found.hits and room <= 0:
            raise UsageError(
                f"question and reply may take {taken:,} of the context's {desk.context.n_ctx:,} tokens: "
                "nothing is left for documents",
                subject=query.asked,
                remedy="ask for a shorter answer or fewer documents, or use a larger context",
            )
        selection = select(found.hits, self._volumes, room)
        aside = tuple(f"{name}: it holds less of what the question names" for name in found.dropped)
        return self.described(selection, aside)

    def described(self, selection: Selection, aside: tuple[str, ...] = ()) -> Choice:
        """`selection` with what is shown of its documents."""
        documents = [
            self._describe(candidate, attachable=not self._exact and (index == 0 or self._relocatable))
            for index, candidate in enumerate(selection.candidates)
        ]
        return Choice(selection, tuple(documents), aside)

    def question_tokens(self, query: Query) -> int:
        """Tokens behind the documents before the reply begins."""
        desk = self._desk
        return len(desk.model.tokenize(query.before)) + len(
            desk.frame.question_tokens(desk.model, query.asked)
        )

    def _volumes(self, document: DocumentRecord) -> Sequence[Volume]:
        return volumes_of(self._desk.library, document, self._desk.profile, self._desk.reader)

    def _describe(self, candidate: Candidate, *, attachable: bool) -> ChosenDocument:
        document, volume = candidate.hit.document, candidate.volume
        known = self._desk.library.snapshot(document.id, volume.ordinal, self._desk.profile.id)
        return ChosenDocument(
            id=document.id,
            path=document.path,
            title=document.title,
            volume=volume.ordinal,
            label=volume.label,
            n_tokens=known.n_tokens if known else volume.n_tokens,
            score=candidate.hit.score,
            read_from="snapshot" if known and attachable else "prefill",
            passages=candidate.hit.passages,
        )


def read_documents(desk: Desk, choice: Choice) -> list[ReadDocument]:
    """The chosen documents with the text that the model reads of each."""
    return [
        _read(desk, candidate, shown)
        for candidate, shown in zip(choice.selection.candidates, choice.documents, strict=True)
    ]


def _read(desk: Desk, candidate: Candidate, shown: ChosenDocument) -> ReadDocument:
    text = desk.library.text(shown.id)
    volume = candidate.volume
    part = text if candidate.n_volumes == 1 else text.slice(volume.char_start, volume.char_end)
    return ReadDocument(shown, part, FoldedText(part.text), volume.char_start)
