"""Does a question need the documents that stand in the context, or should others be looked for?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from beyondrag.answering import ReadDocument
from beyondrag.evidence import FoldedText
from beyondrag.follow_up import Leaning, own_names, own_words
from library.analysis import stem_analyzer
from library.wording import one_line

ENOUGH_WORDS = 0.5
"""Share of the words of a question that refers back which the documents must hold: with less, it is
about something else ("Is it possible to cancel the contract?")."""
STRANGE_WORDS = 2
"""So many words that the documents lack, at least, outweigh a pronoun; one may be another word for what
they say ("Who owned it?" where they speak of the owner)."""

_PRONOUNS = frozenset({"personal", "impersonal"})


class ContextWords:
    """What the documents in the context hold, titles included."""

    def __init__(self, documents: Sequence[ReadDocument]) -> None:
        self._texts = [document.folded for document in documents]
        self._titles = [FoldedText(document.chosen.title) for document in documents]
        self._stems = {
            stem
            for document in documents
            for stem in _stems(f"{document.chosen.title}\n{document.text.text}")
        }

    def lacking(self, names: Iterable[str]) -> list[str]:
        """The names that stand in none of the documents."""
        everything = [*self._texts, *self._titles]
        return [name for name in names if all(text.find(name) is None for text in everything)]

    def share(self, words: Sequence[str]) -> float:
        """The share of `words`, compared by stem, that stand in some document; 1 when there are none."""
        held = sum(all(stem in self._stems for stem in _stems(word)) for word in words)
        return held / len(words) if words else 1.0


def _stems(text: str) -> list[str]:
    stems: list[str] = stem_analyzer().analyze(text.encode("utf-8", "replace").decode())
    return stems


@dataclass(frozen=True, slots=True)
class Need:
    """`same`: the documents in the context serve; otherwise they are looked for.  `why` is said in words.

    `follows`: the question goes on from the one before.  `elsewhere`: it asks the same of something else,
    so that what the one before was about does not matter ("What about the lamp?").
    """

    same: bool
    follows: bool
    why: str
    elsewhere: bool = False


def need(question: str, leans: Leaning, held: ContextWords) -> Need:
    """What `question` needs, when documents that hold `held` stand in the context."""
    names, words = own_names(question), own_words(question)
    follows = leans.kind != "alone"
    if missing := held.lacking(names):
        return Need(False, follows, _lacking(missing))
    if names and leans.kind not in _PRONOUNS:  # another subject, perhaps, that is only mentioned here
        return Need(False, follows, "")
    strange = [word for word in words if held.share([word]) < 1]
    if leans.kind in _PRONOUNS and len(strange) < STRANGE_WORDS:
        return Need(True, True, _reason(leans))
    if held.share(words) >= (ENOUGH_WORDS if follows else 1.0):
        return Need(True, True, _reason(leans))
    elsewhere = leans.kind == "opening"
    return Need(False, follows and leans.kind != "impersonal", _lacking(strange), elsewhere)


def _reason(leans: Leaning) -> str:
    """Why the documents serve."""
    if leans.kind == "fragment":
        return "the question alone names nothing to look for"
    if leans.kind == "alone":
        return "the question names nothing else, and its words stand in the documents read before"
    return f"“{leans.sign}” refers back to the documents read before"


def _lacking(what: Sequence[str]) -> str:
    shown = ", ".join(f"“{one_line(word, 40)}”" for word in what[:3])
    return f"the documents read before do not hold {shown}"
