"""Failures as screens show them."""

from __future__ import annotations

from beyondrag.service.notices import Problem
from beyondrag.service.problems import problem_of
from beyondrag.tui.safe_text import safe, safe_line

__all__ = ["problem_in_words", "problem_of"]


def problem_in_words(problem: Problem) -> str:
    """What it concerns, what is wrong, what to do; several lines, safe to show."""
    about = f"{safe_line(problem.subject, 200)}: " if problem.subject else ""
    remedy = f"\nTry: {safe(problem.remedy)}" if problem.remedy else ""
    return f"{about}{safe(problem.message)}{remedy}"
