"""Errors as the plain data that notices carry."""

from __future__ import annotations

from beyondrag.failures import internal_error
from beyondrag.service.notices import Problem
from kvfiles.errors import BeyondragError


def problem_of(error: Exception) -> Problem:
    """`error` in words; the traceback of what nobody foresaw goes to a file (`beyondrag.failures`)."""
    known = error if isinstance(error, BeyondragError) else internal_error(error)
    return Problem(type(known).__name__, known.message, known.subject, known.remedy)
