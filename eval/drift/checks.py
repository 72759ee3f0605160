"""What a reply must be like: small checks that a program can decide.

Every check refuses an empty reply, so that a model that says nothing keeps no constraint.  Checks judge
what was asked for and are lenient about the rest: letter case, quotes and a closing full stop do not
count unless the instruction is about them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson

_WORD = re.compile(r"[^\W_]+(?:['’.,:-][^\W_]+)*")
_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*?)\n?```\Z", re.DOTALL)
_NUMBER_WORDS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
)
_CLOSING = " \t\r\n.!\"'”’`*"
_OPENING = " \t\r\n\"'“‘`*"


class Check(Protocol):
    """A property of one reply."""

    def holds(self, reply: str) -> bool:
        """Whether `reply` has the property; False for an empty one."""

    def describe(self) -> str:
        """The property in words, for reports."""


def plain(text: str) -> str:
    """Lower case, single spaces, straight apostrophes, and numbers without thousands separators."""
    return " ".join(_THOUSANDS.sub("", text.casefold().replace("’", "'")).split())


def occurrence(phrase: str, text: str) -> int:
    """Where `phrase` first stands in `text` as whole words, both made `plain`; -1 when it does not.

    12 does not stand in 120, 3.12, 12.5 or a12.
    """
    found = re.search(rf"(?<![\w])(?<!\d\.){re.escape(plain(phrase))}(?!\w|\.\d)", plain(text))
    return found.start() if found else -1


@dataclass(frozen=True, slots=True)
class Mentions:
    """One of `phrases` stands in the reply as whole words."""

    phrases: tuple[str, ...]

    def holds(self, reply: str) -> bool:
        return any(occurrence(phrase, reply) >= 0 for phrase in self.phrases)

    def describe(self) -> str:
        return "mentions " + " or ".join(f"“{phrase}”" for phrase in self.phrases)


@dataclass(frozen=True, slots=True)
class Avoids:
    """None of `phrases` stands in the reply, whole words."""

    phrases: tuple[str, ...]

    def holds(self, reply: str) -> bool:
        return bool(reply.strip()) and all(occurrence(phrase, reply) < 0 for phrase in self.phrases)

    def describe(self) -> str:
        return "never mentions " + " or ".join(f"“{phrase}”" for phrase in self.phrases)


@dataclass(frozen=True, slots=True)
class Words:
    """The reply has `least` to `most` words; numbers and hyphenated words are one."""

    least: int
    most: int

    def holds(self, reply: str) -> bool:
        n = len(_WORD.findall(reply))
        return n > 0 and self.least <= n <= self.most

    def describe(self) -> str:
        return f"{self.least} words" if self.least == self.most else f"{self.least} to {self.most} words"


@dataclass(frozen=True, slots=True)
class EndsWith:
    """The reply ends with `phrase`, in any case; closing punctuation and quotes do not count."""

    phrase: str

    def holds(self, reply: str) -> bool:
        text = plain(reply).rstrip(_CLOSING)
        wanted = plain(self.phrase).rstrip(_CLOSING)
        return text.endswith(wanted) and not text[: -len(wanted)][-1:].isalnum()

    def describe(self) -> str:
        return f"ends with “{self.phrase}”"


@dataclass(frozen=True, slots=True)
class BeginsWith:
    """The reply begins with `phrase`, in any case; opening quotes do not count."""

    phrase: str

    def holds(self, reply: str) -> bool:
        text, wanted = plain(reply).lstrip(_OPENING), plain(self.phrase)
        return text.startswith(wanted) and not text[len(wanted) :][:1].isalnum()

    def describe(self) -> str:
        return f"begins with “{self.phrase}”"


@dataclass(frozen=True, slots=True)
class UpperCase:
    """There are letters, and every letter that has a case is a capital."""

    def holds(self, reply: str) -> bool:
        return reply.isupper()

    def describe(self) -> str:
        return "all in capitals"


@dataclass(frozen=True, slots=True)
class LowerCase:
    """There are letters, and no capital."""

    def holds(self, reply: str) -> bool:
        return reply.islower()

    def describe(self) -> str:
        return "no capitals"


@dataclass(frozen=True, slots=True)
class InOrder:
    """All `items` stand in the reply, each first named after the one before it."""

    items: tuple[str, ...]

    def holds(self, reply: str) -> bool:
        places = [occurrence(item, reply) for item in self.items]
        return -1 not in places and places == sorted(places)

    def describe(self) -> str:
        return "in order: " + ", ".join(self.items)


@dataclass(frozen=True, slots=True)
class Lines:
    """The reply has exactly `n` lines that are not empty; `prefix` begins each of them."""

    n: int
    prefix: str = ""

    def holds(self, reply: str) -> bool:
        lines = [line.strip() for line in reply.splitlines() if line.strip()]
        return len(lines) == self.n > 0 and all(line.startswith(self.prefix) for line in lines)

    def describe(self) -> str:
        return f"{self.n} lines" + (f", each beginning with “{self.prefix}”" if self.prefix else "")


@dataclass(frozen=True, slots=True)
class Numbered:
    """The lines are numbered 1., 2., ... up to `n`, and there is nothing else."""

    n: int

    def holds(self, reply: str) -> bool:
        lines = [line.strip() for line in reply.splitlines() if line.strip()]
        return len(lines) == self.n > 0 and all(
            re.match(rf"{i}[.)]\s*\S", line) for i, line in enumerate(lines, 1)
        )

    def describe(self) -> str:
        return f"a numbered list of {self.n}"


@dataclass(frozen=True, slots=True)
class OnlyNumber:
    """The reply is one number and nothing else; `value` may be written with thousands separators."""

    value: str

    def holds(self, reply: str) -> bool:
        text = reply.strip().rstrip(".")
        return bool(_NUMBER.fullmatch(text)) and float(text.replace(",", "")) == float(self.value)

    def describe(self) -> str:
        return f"only the number {self.value}"


@dataclass(frozen=True, slots=True)
class JsonObject:
    """The reply is one JSON object with exactly these keys, whose values mention what is expected.

    A Markdown fence around it is allowed: chat models put one there unasked.
    """

    values: tuple[tuple[str, str], ...]

    def holds(self, reply: str) -> bool:
        text = reply.strip()
        fenced = _FENCE.match(text)
        try:
            found = orjson.loads(fenced[1] if fenced else text)
        except orjson.JSONDecodeError:
            return False
        wanted = dict(self.values)
        if not isinstance(found, Mapping) or found.keys() != wanted.keys():
            return False
        return all(occurrence(wanted[key], str(found[key])) >= 0 for key in wanted)

    def describe(self) -> str:
        return "a JSON object with " + ", ".join(f"{key}: {value}" for key, value in self.values)


@dataclass(frozen=True, slots=True)
class All:
    """Every one of `checks` holds."""

    checks: tuple[Check, ...]

    def holds(self, reply: str) -> bool:
        return all(check.holds(reply) for check in self.checks)

    def describe(self) -> str:
        return "; ".join(check.describe() for check in self.checks)


def mentions(*phrases: str) -> Mentions:
    """One of `phrases` is mentioned."""
    return Mentions(phrases)


def figure(value: int) -> Mentions:
    """`value` is mentioned, up to twenty also as a word."""
    return Mentions((str(value), *_NUMBER_WORDS[value : value + 1]))


def avoids(*phrases: str) -> Avoids:
    """None of `phrases` is mentioned."""
    return Avoids(phrases)


def both(*checks: Check) -> All:
    """All of `checks` hold."""
    return All(checks)
