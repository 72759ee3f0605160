"""The words of a question, an answer or a text that say something, in one spelling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from beyondrag.evidence import Word, words

FUNCTION_WORDS = frozenset(
    "a an the of in on at to for by with from and or is was were are be been it its this that as".split()
)


YES_NO = frozenset(("yes", "no"))
"""Answers that stand for a statement of the question: where the word itself stands says nothing."""


def content_words(text: str) -> list[Word]:
    """The words of a text that say something, numbers as digits: no articles, prepositions and the like."""
    return [word for word in with_digits(words(text)) if word.folded not in FUNCTION_WORDS]


_ONES = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen".split()
    )
}
_TENS = {
    word: 10 * number
    for number, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}


def with_digits(spelled: Iterable[Word]) -> Iterator[Word]:
    """The words with English numbers below a hundred as digits, so that "nine months" is "9 months"."""
    tens: Word | None = None
    for word in spelled:
        ones = _ONES.get(word.folded, 0)
        if tens is not None:
            if 0 < ones < 10 and word.start == tens.end + 1:  # "twenty-four", "twenty four"
                yield Word(str(_TENS[tens.folded] + ones), tens.start, word.end)
                tens = None
                continue
            yield Word(str(_TENS[tens.folded]), tens.start, tens.end)
            tens = None
        if word.folded in _TENS:
            tens = word
        elif word.folded in _ONES:
            yield Word(str(ones), word.start, word.end)
        else:
            yield word
    if tens is not None:
        yield Word(str(_TENS[tens.folded]), tens.start, tens.end)
