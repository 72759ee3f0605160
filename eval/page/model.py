"""The document: what a report says, in which order, without any markup.

Prose may hold `` `code` `` and `**strong**`; nothing else in it is markup, and all other text is shown
as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from eval.page.figures import Figure
from eval.page.quantities import Basis, Estimate, Quantity

Outcome = Literal["right", "wrong", "abstained"]
Value = str | float | Estimate | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; a column named by a string holds words, one of a Quantity holds numbers.

    `in_summary` puts it into the Markdown summary too.  Raises ValueError when a row does not fit.
    """

    caption: str
    columns: tuple[str | Quantity, ...]
    rows: tuple[tuple[Value, ...], ...]
    basis: Basis
    note: str = ""
    in_summary: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.caption}: {len(row)} values for {len(self.columns)} columns")
            for column, value in zip(self.columns, row, strict=True):
                if value is not None and isinstance(column, str) != isinstance(value, str):
                    raise ValueError(f"{self.caption}: {value!r} does not belong into this column")
                if isinstance(value, int | float) and not math.isfinite(value):
                    raise ValueError(f"{self.caption}: a number is not finite; leave out what is missing")


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text that a system was given; `n_chars` of which `text` is a part, None for all of it."""

    title: str
    text: str
    n_chars: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One system's answer; `quotes` are marked where they stand in the passages it was given.

    `given` is None where the page does not show what was given, and empty where nothing was.
    """

    system: str
    answer: str
    outcome: Outcome
    given: tuple[Passage, ...] | None = ()
    quotes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A question, what was expected (nothing: the answer is in no document) and what came."""

    question: str
    expected: tuple[str, ...]
    replies: tuple[Reply, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Examples:
    """Examples of one kind: `total` of `out_of` questions are of that kind; `choice` says how these were
    chosen among them."""

    title: str
    examples: tuple[Example, ...]
    total: int
    out_of: int
    choice: str

    def __post_init__(self) -> None:
        if not len(self.examples) <= self.total <= self.out_of:
            raise ValueError(f"{self.title}: {len(self.examples)} of {self.total} of {self.out_of} examples")


@dataclass(frozen=True, slots=True)
class Command:
    """A command line and what it does."""

    line: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Commands:
    """What reproduces the numbers, in order."""

    title: str
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """What the numbers were measured on and with: names and values."""

    facts: tuple[tuple[str, str], ...]


Block = Table | Figure | Examples | Commands | Machine


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, paragraphs, then blocks."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A number that belongs to the answer: `subject` names what it is of, `remark` compares it."""

    subject: str
    quantity: Quantity
    estimate: Estimate | None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """The answer, before all evidence, in paragraphs with an empty line between; `limits` say what the
    numbers do not show."""

    answer: str
    findings: tuple[Finding, ...] = ()
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A report.

    `names` are the systems or arms in the order of importance: each keeps its colour in all figures.
    `measured` is the date for the head of the page.
    """

    title: str
    summary: Summary
    sections: tuple[Section, ...]
    names: tuple[str, ...] = ()
    measured: str = ""

    def blocks(self) -> Sequence[Block]:
        """All blocks in order."""
        return [block for section in self.sections for block in section.blocks]
