"""Is an answer right?  Normalised containment, for short factual answers."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NOT_WORD = re.compile(r"[^\w.]+|(?<!\d)\.|\.(?!\d)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")


def normalise(text: str) -> str:
    """Lower case, no articles, no punctuation, numbers without thousands separators."""
    plain = _THOUSANDS.sub("", text.casefold())
    return " ".join(_ARTICLES.sub(" ", _NOT_WORD.sub(" ", plain)).split())


def is_right(answer: str, accepted: Sequence[str]) -> bool:
    """Whether one of the accepted answers stands in `answer` as whole words."""
    given = f" {normalise(answer)} "
    return any(wanted and f" {wanted} " in given for wanted in map(normalise, accepted))
