"""Which hot copies stay: the least recently read goes first.  Pure: no files, no clock.

The order is kept as stamps, nanoseconds since 1970 that never run backwards: a clock that does would
otherwise make the copy that was just read look like the oldest one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

MAX_STAMP = 1 << 62
"""In the year 2116.  A file with a later time was not stamped by us and counts as never read."""


@dataclass(frozen=True, slots=True)
class HotCopy:
    """A copy of the snapshot file with the hash `content` (SHA-256, hex): its bytes, and when it was read."""

    content: str
    size_bytes: int
    stamp: int


def next_stamp(now_ns: int, copies: Iterable[HotCopy]) -> int:
    """The stamp of a copy that is read now: later than that of every copy, whatever the clock says."""
    known = (copy.stamp for copy in copies if copy.stamp < MAX_STAMP)
    return min(max(now_ns, max(known, default=0) + 1), MAX_STAMP)


def to_evict(
    copies: Iterable[HotCopy], bound_bytes: int, incoming_bytes: int = 0, spared: Collection[str] = ()
) -> list[HotCopy] | None:
    """The copies that must go, so that the others and `incoming_bytes` take at most `bound_bytes`.

    Those whose content is `spared` stay: an answer must not push out its own documents.  None when that
    leaves no room; nothing should go then.
    """
    held = sorted(copies, key=_oldest_first)
    excess = sum(copy.size_bytes for copy in held) + incoming_bytes - bound_bytes
    going: list[HotCopy] = []
    for copy in held:
        if excess <= 0:
            break
        if copy.content not in spared:
            going.append(copy)
            excess -= copy.size_bytes
    return going if excess <= 0 else None


def _oldest_first(copy: HotCopy) -> tuple[int, str]:
    return (copy.stamp if copy.stamp <= MAX_STAMP else 0, copy.content)
