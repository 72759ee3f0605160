"""What each suite found, for a page of its own or for one page of several suites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eval.page.model import Command, Commands, Machine, Page, Section, Summary

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """One suite's part of a page.

    `names` are its systems or arms in the order of importance, `facts` what it was measured with, `data` what
    the JSON holds of it.  Headings of `sections` must make sense between those of other suites.
    """

    suite: str
    summary: Summary
    sections: tuple[Section, ...]
    commands: tuple[Command, ...]
    facts: Facts = ()
    names: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


def page_of(title: str, chapters: Sequence[Chapter]) -> Page:
    """The answers of all chapters first, then their sections, then what is needed to measure again."""
    summaries = [chapter.summary for chapter in chapters]
    commands = Commands("Commands", tuple(one for chapter in chapters for one in chapter.commands))
    facts = _facts(chapters)
    last = Section("To measure again", (), (commands, Machine(facts)) if facts else (commands,))
    return Page(
        title,
        Summary(
            "\n\n".join(summary.answer for summary in summaries),
            tuple(one for summary in summaries for one in summary.findings),
            _once(one for summary in summaries for one in summary.limits),
        ),
        (*(section for chapter in chapters for section in chapter.sections), last),
        _once(name for chapter in chapters for name in chapter.names),
    )


def _facts(chapters: Sequence[Chapter]) -> Facts:
    """Every fact once; where suites differ, each with the suite that it is of."""
    values: dict[str, dict[str, list[str]]] = {}
    for chapter in chapters:
        for name, value in chapter.facts:
            values.setdefault(name, {}).setdefault(value, []).append(chapter.suite)
    return tuple(
        (name if len(found) == 1 else f"{name} ({', '.join(suites)})", value)
        for name, found in values.items()
        for value, suites in found.items()
    )


def _once(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))
