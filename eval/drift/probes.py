"""What is asked of what: documents, probes, and the whole set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from eval.drift.checks import Check

Kind = Literal["fact", "constraint", "format", "number", "buried", "turns"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""fact: stated early, asked late.  constraint: a rule for replies that is given with the question, or in an
earlier turn.  format: the shape of a reply.  number: exact figures and stated sums.  buried: an instruction
in the middle of the document, which the question does not repeat.  turns: two to four turns that build on one
another."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text that probes are asked about; `id` is also its file name."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What the user says; `check` judges the reply, None when this turn only prepares a later one."""

    user: str
    check: Check | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """A conversation about the document `document`.

    `facts` are strings that the document must hold for the checks to be fair.
    """

    id: str
    document: str
    kind: Kind
    turns: tuple[Turn, ...]
    facts: tuple[str, ...]

    def judge(self, replies: tuple[str, ...]) -> tuple[bool | None, ...]:
        """For each turn whether its check holds; None where the turn has no check."""
        return tuple(
            None if turn.check is None else turn.check.holds(reply)
            for turn, reply in zip(self.turns, replies, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Topic:
    """A document and what is asked about it."""

    document: Document
    probes: tuple[Probe, ...]


@dataclass(frozen=True, slots=True)
class Asking:
    """Builds the probes of one document, whose ids are `<document>/<name>`."""

    document: str

    def once(self, kind: Kind, name: str, user: str, check: Check, *facts: str) -> Probe:
        """A probe of one turn."""
        return self.talk(kind, name, (Turn(user, check),), *facts)

    def talk(self, kind: Kind, name: str, turns: tuple[Turn, ...], *facts: str) -> Probe:
        """A probe of several turns."""
        return Probe(f"{self.document}/{name}", self.document, kind, turns, facts)
