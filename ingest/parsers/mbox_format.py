"""Where the messages of a mailbox (MBOX, RFC 4155) lie, found in blocks: a mailbox may be of any size.

A message begins after a line ``From ...`` that follows an empty line and is followed by a header; the empty
line that ends it is not part of it.  Lines of a message that look like such a line are written with a
``>`` in front, which `unquoted` takes away.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.parsers.base import ReadAt

MARK = b"From "
_BLOCK = 1 << 20
_LINE_BYTES = 500
_HEADER_BYTES = 200
_BEFORE = 3  # so many bytes before a From line tell whether the line above is empty
_FROM_LINE = re.compile(rb"From [^\n]{0,%d}\n(?=[!-9;-~]{1,100}:|>From )" % _LINE_BYTES)
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MessageRange:
    """The bytes ``[start:stop]`` of a mailbox; the message's From line begins at `line`."""

    line: int
    start: int
    stop: int


def message_ranges(read_at: ReadAt, size: int, offset: int = 0) -> Iterator[MessageRange]:
    """The messages of a mailbox of `size` bytes, in order; `offset` is where a From line begins."""
    lines = _from_lines(read_at, size, offset)
    line, start = next(lines, (size, size))
    for next_line, next_start in lines:
        yield MessageRange(line, start, next_line - _empty_line_before(read_at, start, next_line))
        line, start = next_line, next_start
    if start < size:
        yield MessageRange(line, start, size - _empty_line_before(read_at, start, size))


def split(data: bytes) -> Iterator[bytes]:
    """The messages of a mailbox held in memory, unquoted."""
    for message in message_ranges(lambda at, n: data[at : at + n], len(data)):
        yield unquoted(data[message.start : message.stop])


def unquoted(message: bytes) -> bytes:
    """A message as it was before it was put into the mailbox."""
    return _QUOTED_FROM.sub(rb"\1", message)


def digest(read_at: ReadAt, start: int, stop: int) -> str:
    """The SHA-256 (hex) of the bytes from `start` to `stop`, read in blocks."""
    found = hashlib.sha256()
    while start < stop and (block := read_at(start, min(_BLOCK, stop - start))):
        found.update(block)
        start += len(block)
    return found.hexdigest()


def _from_lines(read_at: ReadAt, size: int, offset: int) -> Iterator[tuple[int, int]]:
    """Start and end of each From line from `offset` on; the first is one whatever follows it."""
    first = read_at(offset, _LINE_BYTES + len(MARK) + 1)
    low = offset + first.find(b"\n") + 1
    if low == offset:  # the line has no end: what should follow it cannot be found
        return
    yield offset, low
    while low < size:
        base = low - _BEFORE  # a From line is longer than that
        data = read_at(base, _BEFORE + _BLOCK + _LINE_BYTES + _HEADER_BYTES)
        at = data.find(MARK, _BEFORE)
        while 0 <= at < _BEFORE + _BLOCK:
            if data[at - 2 : at] == b"\n\n" or data[at - 3 : at] == b"\n\r\n":
                found = _FROM_LINE.match(data, at)
                if found:
                    yield base + at, base + found.end()
            at = data.find(b"\n" + MARK, at) + 1 or -1
        low += _BLOCK


def _empty_line_before(read_at: ReadAt, start: int, stop: int) -> int:
    """The length of the empty line that ends at `stop`, 0 when there is none behind `start`."""
    tail = read_at(max(start, stop - 3), min(3, stop - start))
    if tail.endswith(b"\n\r\n"):
        return 2
    return 1 if tail.endswith(b"\n\n") else 0
