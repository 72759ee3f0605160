"""Evidence first: the model copies the line that answers, the line is checked, then it answers.

The reply is forced into shape piece by piece (`Quote: "`, then the copy, then `Answer:`), so that a small
model needs no formatting skill, and each copy is compared with the documents as soon as it is complete.
A copy that stands in no document is the mark of an invented answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Generator as Generated
from dataclasses import dataclass, replace

from beyondrag.events import AnswerDelta, ChosenDocument, EvidenceChecked, EvidenceDelta, Source
from beyondrag.evidence import FoldedText, Found
from beyondrag.generation import Generator
from beyondrag.streaming import TextStream
from beyondrag.support import find_support
from beyondrag.verdict import Reply, is_evidence, says_not_stated
from kvfiles.runtime.model import Model
from library.records import DocumentText

MAX_LINE_TOKENS = 96
MAX_QUOTE_CHARS = 400


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A document in the context with the text that the model read, `offset` characters into the whole."""

    chosen: ChosenDocument
    text: DocumentText
    folded: FoldedText
    offset: int

    def source(self, found: Found) -> Source:
        """`found` as a source, quoted with the line it stands on unless that is too long."""
        line = self.folded.line_around(found)
        if line.end - line.start > MAX_QUOTE_CHARS:
            line = self.folded.sentence_around(found, MAX_QUOTE_CHARS)
        return Source(
            document_id=self.chosen.id,
            path=self.chosen.path,
            title=self.chosen.title,
            page=self.text.page_at(found.start).label,
            quote=self.text.text[line.start : line.end],
            start=self.offset + line.start,
            end=self.offset + line.end,
        )


class Answerer:
    """One reply over documents that stand in the context, after the question has been fed."""

    def __init__(
        self,
        model: Model,
        generator: Generator,
        question: str,
        documents: Sequence[ReadDocument],
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._model, self._generator, self._documents = model, generator, documents
        self._cancelled = cancelled
        self._question = question
        self._copies: list[str] = []
        self._sources: list[Source] = []
        self._unverified: list[str] = []
        self._answer = ""
        self._n_lines = 0

    def reply(self) -> Reply:
        """The result; complete when `run` is."""
        reply = Reply(
            self._question, tuple(self._copies), tuple(self._sources), tuple(self._unverified), self._answer
        )
        if reply.copied or says_not_stated(self._answer) or self._n_lines > 1:
            return reply
        return replace(reply, found=self._look_up(self._answer))

    def run(
        self, subjects: Sequence[str], max_tokens: int
    ) -> Iterator[EvidenceDelta | EvidenceChecked | AnswerDelta]:
        """Generate, after the question and `line_start` of the first subject have been fed.

        With several `subjects` one line is copied for each of them.
        """
        self._n_lines = max(1, len(subjects))
        for index in range(self._n_lines):
            if index > 0:
                self._generator.feed(self._model.tokenize(line_start(subjects[index])))
            copied = yield from self._line(min(MAX_LINE_TOKENS, max_tokens))
            source = self._check(copied)
            yield EvidenceChecked(copied, source)
            if source is not None:
                self._sources.append(source)
                self._copies.append(copied)
            else:
                self._unverified.append(copied)
        self._generator.feed(self._model.tokenize("Answer:"))
        yield from self._short_answer(max_tokens)

    def _line(self, max_tokens: int) -> Generated[EvidenceDelta, None, str]:
        """Generate one line; afterwards the context ends with a line break.  Returns the copied text."""
        stream, ended = TextStream(self._model), False
        line = ""
        for step in self._generator.steps(max_tokens, self._cancelled):
            if self._model.is_end(step.token):
                break
            piece, line_break, _ = stream.push(step.token).partition("\n")
            line += piece
            if piece:
                yield EvidenceDelta(piece)
            if line_break:
                ended = True
                break
        if not ended:
            self._generator.feed(self._model.tokenize('"\n' if not line.rstrip().endswith('"') else "\n"))
        text = line.strip()
        return text[:-1].rstrip() if text.endswith('"') else text

    def _short_answer(self, max_tokens: int) -> Iterator[AnswerDelta]:
        stream = TextStream(self._model)
        for step in self._generator.steps(max_tokens, self._cancelled):
            if self._model.is_end(step.token):
                break
            piece = stream.push(step.token)
            if not self._answer:
                piece = piece.lstrip()
            piece, line_break, _ = piece.partition("\n")
            self._answer += piece
            if piece:
                yield AnswerDelta(piece)
            if line_break:
                break
        self._answer = self._answer.strip().strip('"').strip()

    def _check(self, copied: str) -> Source | None:
        if not is_evidence(copied):
            return None
        for document in self._documents:
            found = document.folded.find(copied)
            if found is not None:
                return document.source(found)
        return None

    def _look_up(self, answer: str) -> Source | None:
        """Where the answer stands among words of the question, though the model copied something else."""
        support = find_support(self._question, answer, [d.text.text for d in self._documents])
        return None if support is None else self._documents[support.index].source(support.place)


def line_start(subject: str) -> str:
    """The forced beginning of a copied line; `subject` says which of several things it is about."""
    return f'Quote about {subject}: "' if subject else 'Quote: "'
