"""Follow-up questions: what shows that a question leans on the ones before, and what it is then about.

Plain rules over English words, so that it is always clear why a question was understood as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from beyondrag.content import content_words
from beyondrag.evidence import Word, words
from beyondrag.query import Query, standing_alone
from beyondrag.retrieval import named_words
from library.wording import one_line

EARLIER_TURNS = 2
"""How many of the questions before a follow-up the model is shown."""
EARLIER_TOKENS = 256
REMEMBERED_TURNS = 4
"""Questions before a follow-up in which it is looked up what it is about."""

_EARLIER_CHARS = 300
_MAX_ADDED_WORDS = 24

_OPENINGS = frozenset("and but or so also then plus".split())
_TWO_WORD_OPENINGS = frozenset(
    {("what", "about"), ("how", "about"), ("what", "of"), ("what", "else"), ("who", "else"), ("same", "for")}
)
_PERSONAL = frozenset("he she they him her them his hers their theirs both former latter".split())
_IMPERSONAL = frozenset("it its this these those same".split())
_AT_THE_END = frozenset("then so before after afterwards since instead otherwise".split())
"""Words that point back when nothing comes behind them ("What has to be done then?")."""
_OF_SEVERAL = frozenset("which who whom either neither both none".split())
"""Words that choose among things when "of them" or "of the two" comes behind them."""
_NUMBERS = frozenset("two three four 2 3 4".split())
_IDLE = (
    _OPENINGS
    | _PERSONAL
    | _IMPERSONAL
    | frozenset(
        "a an the of in on at to for by with from about as into than if not no yes is was are were be been "
        "am do does did has have had will would can could may might must shall should what which who whom "
        "whose when where why how many much long far often there here i you we me my your our us please "
        "tell show give list name find explain describe mention say says said exactly again more else other "
        "others another one ones any some all that only just really still".split()
    )
)
"""Words by which a question says nothing of its own."""

_BEFORE_PRONOUN = frozenset(
    "is was are were do does did has had have of in at on about after before by for from to with than and or "
    "why when where how what who which said".split()
)
"""Words after which `that` stands for something; after a noun it begins a relative clause."""
_EXISTENTIAL = frozenset("is are was were be been".split())
_POSSESSIVE = re.compile(r"['’]s?$")
_BETWEEN_NAMES = re.compile(r"[\s,.'’\"-]*")

Kind = Literal["alone", "personal", "impersonal", "opening", "fragment"]


@dataclass(frozen=True, slots=True)
class EarlierTurn:
    """A question of this conversation and its answer, "" when there was none."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Leaning:
    """How a question leans on the ones before: `sign` is the word that shows it ("he", "What about").

    "personal" and "impersonal": by a pronoun or a word like one; "opening": by how it begins; "fragment":
    it says nothing of its own ("Why?"); "alone": not at all.  `several`: it chooses among things that may
    have been asked about one after another ("Which of the two?").
    """

    kind: Kind
    sign: str = ""
    several: bool = False


def leaning(question: str) -> Leaning:
    """How `question` leans on the ones before it.

    A pronoun behind the first name counts for nothing: it most likely stands for that name.
    """
    spelled = list(words(question))
    named = _named(question)
    n_before_names = sum(not named or word.start < named[0].start() for word in spelled)
    if found := _by_pronoun(question, spelled, n_before_names) or _by_opening(question, spelled):
        return found
    if not named and not own_words(question):
        return Leaning("fragment", one_line(question, 60))
    return Leaning("alone")


def _by_pronoun(question: str, spelled: Sequence[Word], n: int) -> Leaning | None:
    """By a pronoun, or a word like one, among the first `n` words; by the first personal one if there is."""
    impersonal = ""
    for index, word in enumerate(spelled[:n]):
        if start := _start_of_several(spelled, index):
            return Leaning("personal", question[start.start : word.end], several=True)
        if word.folded in _PERSONAL:
            return Leaning("personal", _text(question, word))
        if not impersonal and _is_impersonal(spelled, index):
            impersonal = _text(question, word)
    return Leaning("impersonal", impersonal) if impersonal else None


def _by_opening(question: str, spelled: Sequence[Word]) -> Leaning | None:
    if len(spelled) > 1 and (spelled[0].folded, spelled[1].folded) in _TWO_WORD_OPENINGS:
        return Leaning("opening", question[spelled[0].start : spelled[1].end])
    if spelled and spelled[0].folded in _OPENINGS:
        return Leaning("opening", _text(question, spelled[0]))
    return None


def _start_of_several(spelled: Sequence[Word], index: int) -> Word | None:
    """Where the words begin that speak of several things and end at `index`; None when they do not."""
    word = spelled[index]
    before = [earlier.folded for earlier in spelled[max(index - 3, 0) : index]]
    if word.folded in ("both", "former", "latter"):
        return word
    if word.folded in ("them", "these", "those") and len(before) > 1 and before[-1] == "of":
        return spelled[index - 2] if before[-2] in _OF_SEVERAL else None
    if word.folded in _NUMBERS and len(before) > 2 and before[1] == "of":
        chooses = before[0] in _OF_SEVERAL and before[2] in ("the", "these", "those")
        return spelled[index - 3] if chooses else None
    return None


def _is_impersonal(spelled: Sequence[Word], index: int) -> bool:
    word = spelled[index].folded
    before = spelled[index - 1].folded if index else ""
    after = spelled[index + 1].folded if index + 1 < len(spelled) else ""
    if word == "that":
        return not before or before in _BEFORE_PRONOUN
    if word == "there":  # not "is there", "there are"
        return bool(before) and before not in _EXISTENTIAL and after not in _EXISTENTIAL
    if word in _AT_THE_END:
        return bool(before) and not after
    return word in _IMPERSONAL


def _text(question: str, word: Word) -> str:
    return question[word.start : word.end]


# ------------------------------------------------------------------------------ words


def own_names(question: str) -> list[str]:
    """The words of a question that look like names or numbers, without possessive endings."""
    return [_POSSESSIVE.sub("", match[0]) for match in _named(question)]


def own_words(question: str) -> list[str]:
    """The folded words by which a question says something of its own, names left out."""
    named = [match.span() for match in _named(question)]
    return [
        word.folded
        for word in content_words(question)
        if word.folded not in _IDLE
        and len(word.folded) > 1
        and not any(start <= word.start < end for start, end in named)
    ]


def _named(question: str) -> list[re.Match[str]]:
    """As retrieval sees them, without words that are only capitalised ("I", a second sentence's "And")."""
    return [
        match
        for match in named_words(question)
        if len(_POSSESSIVE.sub("", match[0])) > 1 and match[0].casefold() not in _IDLE
    ]


def _names(text: str) -> list[str]:
    """The names of a text; words that stand next to one another are one name."""
    found: list[str] = []
    start = end = -1
    for match in _named(text):
        if start >= 0 and _BETWEEN_NAMES.fullmatch(text, end, match.start()):
            end = match.end()
            continue
        if start >= 0:
            found.append(text[start:end])
        start, end = match.span()
    if start >= 0:
        found.append(text[start:end])
    return [_POSSESSIVE.sub("", name) for name in dict.fromkeys(found)]


# ------------------------------------------------------------------------------ query


def what_it_is_about(question: str, before: str) -> str:
    """A follow-up with the words that it leaves out: the names, or what was asked, of `before`.

    `before` is what the question before is about.
    """
    added: list[str] = []
    if not own_names(question):
        added += _names(before)
    if not own_words(question) or not (added or own_names(question)):
        added += own_words(before)
    kept: list[str] = []
    room = _MAX_ADDED_WORDS
    for words_ in added:
        room -= len(words_.split())
        if room < 0:
            break
        kept.append(words_)
    return f"{question} ({'; '.join(kept)})" if kept else question


def topic(earlier: Sequence[EarlierTurn]) -> str:
    """What the last of `earlier` is about, with what it refers to in turn; "" when there is none."""
    about = ""
    for turn in earlier[-REMEMBERED_TURNS:]:
        leans = about and leaning(turn.question).kind != "alone"
        about = what_it_is_about(turn.question, about) if leans else turn.question
    return about


def follow_up(question: str, earlier: Sequence[EarlierTurn], count: Callable[[str], int]) -> Query:
    """`question` as one that goes on from `earlier`; `count` gives the number of tokens of a text."""
    if not earlier:
        return standing_alone(question)
    spoken_of = topic(earlier)
    if leaning(question).several:
        spoken_of = f"{topic(earlier[:-1])} {spoken_of}".strip()
    about = what_it_is_about(question, spoken_of)
    names = [] if own_names(question) else _names(earlier[-1].answer[:_EARLIER_CHARS])
    search = " ".join([about, *names[:3]])
    return Query(question, search, about, earlier_text(earlier, count))


def earlier_text(earlier: Sequence[EarlierTurn], count: Callable[[str], int]) -> str:
    """The last turns as the model reads them, at most EARLIER_TOKENS long; "" when nothing fits."""
    shown, chars = list(earlier[-EARLIER_TURNS:]), _EARLIER_CHARS
    while shown and chars > 8:
        text = "".join(_turn_text(turn, chars) for turn in shown)
        if count(text) <= EARLIER_TOKENS:
            return text
        if len(shown) > 1:
            del shown[0]
        else:
            chars //= 2
    return ""


def _turn_text(turn: EarlierTurn, chars: int) -> str:
    """One line each: whatever stands in them cannot look like another turn."""
    text = f"Earlier question: {one_line(turn.question, chars)}\n"
    return f"{text}Earlier answer: {one_line(turn.answer, chars)}\n" if turn.answer else text
