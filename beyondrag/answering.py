"""Evidence first: the model copies the line that answers, the line is checked, then it answers.

The reply is forced into shape piece by piece (`Line: "`, then the copy, then `Answer:`), so that a small
model needs no formatting skill, and each copy is compared with the documents as soon as it is complete.
A copy that stands in no document is the mark of an invented answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Generator as Generated
from dataclasses import dataclass

from beyondrag.evidence import FoldedText, contains_words
from beyondrag.events import AnswerDelta, ChosenDocument, EvidenceChecked, EvidenceDelta, Source
from beyondrag.generation import Generator
from beyondrag.streaming import TextStream
from kvfiles.runtime.model import Model
from library.records import DocumentText

CLOSING = (
    "\nCopy the exact line of the document that answers this question, then answer in a few words. "
    'If the document does not say, write "not stated".'
)
MAX_LINE_TOKENS = 96

_NOT_STATED = re.compile(
    r"\W*(not (stated|mentioned|specified|given|provided|available|known|found|in the)|unknown|none\b|n/?a\b|"
    r"no (answer|information|line|mention)|(the )?(documents?|text|report)s? (does|do) not)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A document in the context with the text that the model read, `offset` characters into the whole."""

    chosen: ChosenDocument
    text: DocumentText
    folded: FoldedText
    offset: int

    @property
    def title_and_text(self) -> str:
        return f"{self.chosen.title}\n{self.text.text}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What generation gave: the verified sources, the copies that stood nowhere, and the raw answer."""

    sources: tuple[Source, ...]
    unverified: tuple[str, ...]
    answer: str

    @property
    def supported(self) -> bool:
        """Whether every copied line stands in a document and the answer is not a refusal."""
        return bool(self.sources) and not self.unverified and not says_not_stated(self.answer)


def says_not_stated(answer: str) -> bool:
    """Whether an answer says that the documents do not answer; the one place that decides this."""
    return not answer.strip() or _NOT_STATED.match(answer) is not None


class Answerer:
    """One reply over documents that stand in the context, after the question has been fed."""

    def __init__(
        self,
        model: Model,
        generator: Generator,
        documents: Sequence[ReadDocument],
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._model, self._generator, self._documents = model, generator, documents
        self._cancelled = cancelled
        self._sources: list[Source] = []
        self._unverified: list[str] = []
        self._answer = ""

    def reply(self) -> Reply:
        """The result; complete when `run` is."""
        return Reply(tuple(self._sources), tuple(self._unverified), self._answer)

    def run(
        self, subjects: Sequence[str], max_tokens: int
    ) -> Iterator[EvidenceDelta | EvidenceChecked | AnswerDelta]:
        """Generate, after the question and `line_start` of the first subject have been fed.

        With several `subjects` one line is copied for each of them.
        """
        for index in range(max(1, len(subjects))):
            if index > 0:
                self._generator.feed(self._model.tokenize(line_start(subjects[index])))
            copied = yield from self._line(min(MAX_LINE_TOKENS, max_tokens))
            source = self._check(copied)
            yield EvidenceChecked(copied, source)
            if source is not None:
                self._sources.append(source)
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
            piece = stream.push(step.token)
            line += piece
            if "\n" in line:
                ended = True
                break
            yield EvidenceDelta(piece)
        if not ended:
            self._generator.feed(self._model.tokenize('"\n' if not line.rstrip().endswith('"') else "\n"))
        text = line.split("\n", 1)[0].strip()
        return text[:-1].rstrip() if text.endswith('"') else text

    def _short_answer(self, max_tokens: int) -> Iterator[AnswerDelta]:
        stream = TextStream(self._model)
        for step in self._generator.steps(max_tokens, self._cancelled):
            if self._model.is_end(step.token):
                break
            piece = stream.push(step.token)
            if "\n" in (self._answer + piece).lstrip():
                self._answer = (self._answer + piece).lstrip().split("\n", 1)[0]
                break
            self._answer += piece
            yield AnswerDelta(piece)
        self._answer = self._answer.strip().strip('"')

    def _check(self, copied: str) -> Source | None:
        if not is_evidence(copied):
            return None
        for document in self._documents:
            found = document.folded.find(copied)
            if found is None:
                continue
            line = document.folded.line_around(found)
            if line.end - line.start > MAX_QUOTE_CHARS:
                line = found
            chosen = document.chosen
            return Source(
                document_id=chosen.id,
                path=chosen.path,
                title=chosen.title,
                page=document.text.page_at(found.start).label,
                quote=document.text.text[line.start : line.end],
                start=document.offset + line.start,
                end=document.offset + line.end,
            )
        return None


MAX_QUOTE_CHARS = 400
MIN_QUOTE_LETTERS = 4


def is_evidence(copied: str) -> bool:
    """Whether a copy says enough to be evidence: a single short word or number stands anywhere."""
    letters = sum(char.isalnum() for char in copied)
    return letters >= MIN_QUOTE_LETTERS and not says_not_stated(copied)


def line_start(subject: str) -> str:
    """The forced beginning of a copied line; `subject` says which of several things it is about."""
    return f'Line about {subject}: "' if subject else 'Line: "'


def answer_stands_in(sources: Sequence[Source], answer: str) -> bool:
    """Whether the answer is a part of a quote; false for a count, a comparison or yes and no."""
    return any(contains_words(source.quote, answer) for source in sources)
