"""Is an answer right?  Exact match, containment, token F1, yes/no and multiple choice.

Exact match and token F1 are those of SQuAD (Rajpurkar et al. 2016), with one difference: punctuation
separates words instead of vanishing, so that "well-known" is two words and "3.9" stays one number.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

MIN_F1 = 0.8
"""Token F1 from which an answer counts as right, if its numbers and negations are those expected."""

MAX_EXTRA_WORDS = 24
"""Containment is no merit for an answer that quotes half of a document."""

LETTERS = string.ascii_uppercase

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NOT_WORD = re.compile(r"[^\w.]+|_+|(?<!\d)\.|\.(?!\d)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_ISO_DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_LABEL = re.compile(r"\s*answer\s*:\s*", re.IGNORECASE)
_NEGATIONS = frozenset({"not", "no", "never", "without", "neither", "nor", "none"})
_CHOICE = re.compile(
    r"\s*(?:the\s+)?(?:(?:correct|best|right)\s+)?(?:answer|option|choice)?\s*(?:is|:)?\s*[(\[\"']*"
    r"([A-Za-z])(?=[)\].:,;\"']|\s*$|\s+[-–—]\s)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Grade:
    """How an answer compares with the accepted one that it fits best; `f1` from 0 to 1."""

    right: bool
    exact: bool
    contained: bool
    f1: float


WRONG = Grade(right=False, exact=False, contained=False, f1=0.0)


def normalise(text: str) -> str:
    """Lower case, no articles, no punctuation, numbers without thousands separators, dates as digits."""
    plain = _THOUSANDS.sub("", _ISO_DATE.sub(r"\1\2\3", text.casefold()))
    return " ".join(_ARTICLES.sub(" ", _NOT_WORD.sub(" ", plain)).split())


def token_f1(answer: str, accepted: str) -> float:
    """Harmonic mean of precision and recall of the normalised words, counted with repetition."""
    given, wanted = normalise(answer).split(), normalise(accepted).split()
    if not given or not wanted:
        return float(given == wanted)
    common = sum((Counter(given) & Counter(wanted)).values())
    return 2 * common / (len(given) + len(wanted))


def grade(answer: str, accepted: Sequence[str], options: Sequence[str] = ()) -> Grade:
    """Compare an answer with the accepted ones.

    With `options` (multiple choice, lettered A, B, ...) the letter decides, or the text of exactly one of
    them.  An accepted "yes" or "no" is met by an answer that begins with that word.  Everything else is
    right when it equals an accepted answer, contains it as whole words, or has a token F1 of at least
    MIN_F1 with the same numbers and negations.
    """
    if options:
        return _grade_choice(answer, accepted, options)
    grades = [_grade_one(_unlabelled(answer), _unlabelled(one)) for one in accepted]
    return max(grades, key=lambda g: (g.right, g.exact, g.contained, g.f1), default=WRONG)


def is_right(answer: str, accepted: Sequence[str]) -> bool:
    """Whether `grade` calls the answer right."""
    return grade(answer, accepted).right


def _unlabelled(text: str) -> str:
    """Without an "Answer:" at its beginning, which some sets and models write."""
    label = _LABEL.match(text)
    return text[label.end() :] if label else text


def _grade_one(answer: str, accepted: str) -> Grade:
    given, wanted = normalise(answer), normalise(accepted)
    if not given or not wanted:
        return WRONG
    f1 = token_f1(answer, accepted)
    if wanted in ("yes", "no"):
        agrees = given.split()[0] == wanted
        return Grade(agrees, given == wanted, agrees, f1)
    within = f" {wanted} " in f" {given} "
    contained = within and len(given.split()) - len(wanted.split()) <= MAX_EXTRA_WORDS
    close = f1 >= MIN_F1 and _marked(given) == _marked(wanted)
    return Grade(contained or close, given == wanted, contained, f1)


def _marked(normal: str) -> Counter[str]:
    """The words that must agree: those with digits, and negations."""
    return Counter(w for w in normal.split() if w in _NEGATIONS or any(c.isdigit() for c in w))


def _grade_choice(answer: str, accepted: Sequence[str], options: Sequence[str]) -> Grade:
    wanted = {choice for one in accepted if (choice := chosen_option(one, options)) is not None}
    chosen = chosen_option(answer, options)
    right = chosen is not None and chosen in wanted
    return Grade(right, right, right, float(right))


def chosen_option(answer: str, options: Sequence[str]) -> int | None:
    """The index of the option that an answer names by its letter or by its text, else None."""
    normal = [normalise(option) for option in options]
    given = normalise(answer)
    if given and given in normal:
        return normal.index(given)
    letter = _CHOICE.match(answer)
    if letter is not None and (index := LETTERS.find(letter[1].upper())) < len(options) and index >= 0:
        return index
    named = [i for i, option in enumerate(normal) if option and f" {option} " in f" {given} "]
    return named[0] if len(named) == 1 else None


def lettered(options: Sequence[str]) -> str:
    """The options as they are put to the model: "A) first B) second"."""
    return " ".join(f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))
