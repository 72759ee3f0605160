"""One check: what was looked at, how it stands, one line about it, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from kvfiles.errors import BeyondragError
from library.wording import one_line

Status = Literal["ok", "warn", "bad"]

_LINE_LIMIT = 400


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    bad: something that a user would run into.  warn: it works, but not as well as it could, or soon
    may not.  `remedy` is empty only where nothing is to be done.
    """

    name: str
    status: Status
    line: str
    remedy: str = ""


def ok(name: str, line: str) -> Check:
    return Check(name, "ok", line)


def warn(name: str, line: str, remedy: str) -> Check:
    return Check(name, "warn", line, remedy)


def bad(name: str, line: str, remedy: str) -> Check:
    return Check(name, "bad", line, remedy)


def from_error(name: str, error: BeyondragError) -> Check:
    """An error that a command would end with."""
    about = f"{error.subject}: " if error.subject else ""
    return bad(name, one_line(f"{about}{error.message}", _LINE_LIMIT), error.remedy or "see the message")


def isolated(name: str, examine: Callable[[], Iterable[Check]]) -> tuple[Check, ...]:
    """What `examine` finds; whatever goes wrong in it is a finding itself, and ends nothing else.

    A user's own stop (Ctrl-C) goes through.
    """
    try:
        return tuple(examine())
    except BeyondragError as error:
        return (from_error(name, error),)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of Tantivy derives from BaseException
        detail = one_line(f"{type(error).__name__}: {error}", 200)
        return (bad(name, f"this could not be checked: {detail}", "please report it"),)
