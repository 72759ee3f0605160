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

from beyondrag.events import AnswerDelta, ChosenDocument, EvidenceChecked, EvidenceDelta, Source
from beyondrag.evidence import FoldedText, content_words
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

    question: str
    sources: tuple[Source, ...]
    copies: tuple[str, ...]
    unverified: tuple[str, ...]
    answer: str

    @property
    def supported(self) -> bool:
        """Whether every copied line stands in a document and the answer comes from the copies."""
        if not self.sources or self.unverified or says_not_stated(self.answer):
            return False
        return follows_from(self.answer, self.copies, self.question)


def says_not_stated(answer: str) -> bool:
    """Whether an answer says that the documents do not answer; the one place that decides this."""
    return not answer.strip() or _NOT_STATED.match(answer) is not None


def follows_from(answer: str, copies: Sequence[str], question: str) -> bool:
    """Whether a short answer is made of words of the copied lines.

    Yes and no follow from any evidence.  With several copies the answer may be one of the things that
    the question names ("which of the two was first?").  Anything else that is not in the copies was not
    read there: the model copied one line and answered from another, or from nowhere.
    """
    words = content_words(answer)
    if not words or words[0] in ("yes", "no"):
        return bool(answer.strip())
    evidence = {word for copy in copies for word in content_words(copy)}
    known = evidence | set(content_words(question))
    if not all(word in known for word in words):
        return False
    return len(copies) > 1 or any(word in evidence for word in words)


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

    def reply(self) -> Reply:
        """The result; complete when `run` is."""
        return Reply(
            self._question, tuple(self._sources), tuple(self._copies), tuple(self._unverified), self._answer
        )

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
    is_label = copied.rstrip().endswith(":")  # "Engine Manufacturer:" with nothing behind it states nothing
    return letters >= MIN_QUOTE_LETTERS and not is_label and not says_not_stated(copied)


def line_start(subject: str) -> str:
    """The forced beginning of a copied line; `subject` says which of several things it is about."""
    return f'Line about {subject}: "' if subject else 'Line: "'
