"""What a reply is worth: does its answer follow from evidence that stands in the documents?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from beyondrag.content import YES_NO, content_words
from beyondrag.events import Answer, ChosenDocument, Source, Timings
from beyondrag.evidence import words as all_words
from beyondrag.second_reading import SecondReading
from beyondrag.spelled_numbers import with_digits

MIN_QUOTE_LETTERS = 4
MIN_LOG_ODDS = -2.0
"""Below this the second reading rather declines.  Chosen on five public sets with the default model: higher,
right answers are lost faster than wrong ones; lower, the other way round (eval/RESULTS.md)."""

_NOT_STATED = re.compile(
    r"\W*(not (stated|mentioned|specified|given|provided|available|known|found|in the)|unknown|none\b|n/?a\b|"
    r"no (answer|information|line|mention)|(the )?(documents?|text|report)s? (do(es)? not|do(es)?n['’]t)|"
    r"unanswerable|insufficient information|i (do not|don't|don’t) know)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What generation gave.

    `copies` are the copied lines that stand in a document, with their `sources` in the same order, and
    `unverified` those that stand in none.  `found` is where the answer itself stands among words of the
    question, looked up when it does not follow from the copies; `again` the second reading.
    """

    question: str
    copies: tuple[str, ...]
    sources: tuple[Source, ...]
    unverified: tuple[str, ...]
    answer: str
    found: Source | None = None
    again: SecondReading | None = None

    @property
    def copied(self) -> bool:
        """Whether every copied line stands in a document and the answer comes from them."""
        if not self.sources or self.unverified or says_not_stated(self.answer):
            return False
        return follows_from(self.answer, self.copies, self.question)

    @property
    def evidence(self) -> tuple[Source, ...]:
        """What supports the answer: the copied lines, or else the place where it was found."""
        if self.copied:
            return self.sources
        return () if self.found is None else (self.found,)

    @property
    def supported(self) -> bool:
        """Whether there is evidence, and a second reading does not rather decline."""
        if not self.evidence or says_not_stated(self.answer):
            return False
        return self.again is None or self.again.log_odds >= MIN_LOG_ODDS


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What an answer tells beside the reply: what was read, what was not, and how long it took."""

    documents: tuple[ChosenDocument, ...]
    nearest: tuple[Source, ...]
    left_out: tuple[str, ...]
    timings: Timings
    prefilled_tokens: int


def conclude(question: str, reply: Reply | None, circumstances: Circumstances, *, check: bool) -> Answer:
    """The answer that a person gets: with `check`, only one that the documents support.

    `reply` is None when there was nothing to read.
    """
    supported = reply is not None and reply.supported
    shown = reply is not None and (supported or not check)
    return Answer(
        question=question,
        answer=reply.answer if reply and shown else "",
        abstained=not shown,
        checked=supported,
        documents=circumstances.documents,
        sources=(reply.evidence or reply.sources) if reply and shown else (),
        nearest=() if supported else circumstances.nearest,
        left_out=circumstances.left_out,
        timings=circumstances.timings,
        prefilled_tokens=circumstances.prefilled_tokens,
        log_odds=reply.again.log_odds if reply and reply.again else None,
    )


def says_not_stated(answer: str) -> bool:
    """Whether an answer says that the documents do not answer; the one place that decides this."""
    return not answer.strip() or _NOT_STATED.match(answer) is not None


def is_evidence(copied: str) -> bool:
    """Whether a copy says enough to be evidence: a single short word or number stands anywhere."""
    letters = sum(char.isalnum() for char in copied)
    is_label = copied.rstrip().endswith(":")  # "Engine Manufacturer:" with nothing behind it states nothing
    return letters >= MIN_QUOTE_LETTERS and not is_label and not says_not_stated(copied)


def follows_from(answer: str, copies: Sequence[str], question: str) -> bool:
    """Whether a short answer is made of words of the copied lines.

    Yes and no follow from any evidence, what stands behind them does not.  With several copies the
    answer may be one of the things that the question names ("which of the two was first?").  Anything
    else that is not in the copies was not read there: the model copied one line and answered from
    another, or from nowhere.
    """
    words = [word.folded for word in content_words(answer)]
    if not words:  # "It", "A": no word that says much, so the very words must stand there
        spelled = {word.folded for word in with_digits(all_words(answer))}
        copied = {word.folded for copy in copies for word in with_digits(all_words(copy))}
        return bool(spelled) and spelled <= copied
    evidence = {word.folded for copy in copies for word in content_words(copy)}
    known = evidence | {word.folded for word in content_words(question)}
    if words[0] in YES_NO:
        return all(word in known for word in words[1:])  # "No, it was 1822" states 1822
    if not all(word in known for word in words):
        return False
    return len(copies) > 1 or any(word in evidence for word in words)
