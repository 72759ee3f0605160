"""The mailbox format: where messages begin and end, what their hashes are, and their pages."""

from __future__ import annotations

import hashlib
import mailbox
from email.message import EmailMessage
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailbox_files import mbox, message

from ingest.parsers import mailbox as mailbox_parser
from ingest.parsers import mbox_format
from ingest.parsers.base import Member, ReadAt
from ingest.parsers.mbox_format import message_ranges, unquoted

LINES = st.sampled_from(
    [
        b"",
        b"word",
        b"From x y\n",
        b"From x",
        b">From x",
        b"Key: value",
        b"\r",
        b"From a 2021\r",
        b"\0",
        b"F" * 700,
    ]
)


def reader(data: bytes) -> ReadAt:
    return lambda offset, n: data[offset : offset + n]


def test_ranges_are_those_of_the_standard_library(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "box.mbox")
    bodies = ["one\n", "two\n\nFrom here on\nit goes\n", "From the start\n", "\n\n\n", "last, without end"]
    for body in bodies:
        made = EmailMessage()
        made["Subject"] = "s"
        made.set_content(body)
        box.add(made)
    box.flush()
    data = (tmp_path / "box.mbox").read_bytes()
    found = [data[m.start : m.stop] for m in message_ranges(reader(data), len(data))]
    theirs = [box.get_bytes(key) for key in box.keys()]  # noqa: SIM118  (a mailbox is no mapping)
    assert [raw.rstrip(b"\n") for raw in found] == [raw.rstrip(b"\n") for raw in theirs]
    box.close()
    assert b"\nFrom here on" in unquoted(found[1])


@given(lines=st.lists(LINES, max_size=30), block=st.integers(1, 60), cut=st.integers(0, 3))
def test_blocks_of_any_size_give_the_same_ranges(lines: list[bytes], block: int, cut: int) -> None:
    data = b"From first\n" + b"\n".join(lines) + b"\n" * cut
    expected = list(message_ranges(reader(data), len(data)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mbox_format, "_BLOCK", block)
        assert list(message_ranges(reader(data), len(data))) == expected
    for before, after in pairwise(expected):
        assert before.line < before.start <= before.stop <= after.line
        assert data[after.line : after.start].startswith(b"From ")
        assert not data[before.stop : after.line].strip(b"\r\n")
    for number, found in enumerate(expected):
        assert list(message_ranges(reader(data), len(data), found.line)) == expected[number:]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_hash_of_a_message_does_not_depend_on_its_place(end: bytes) -> None:
    raws = [message(number).replace(b"\n", end) for number in range(3)]
    line = b"From a Thu Mar  4 10:00:00 2021" + end
    for order in ([0, 1, 2], [2, 0], [1]):
        for last in (b"", end):
            data = end.join(line + raws[number] for number in order) + last
            found = [data[m.start : m.stop] for m in message_ranges(reader(data), len(data))]
            assert found == [raws[number] for number in order]


def test_members_are_listed_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    data = mbox(*(message(number) for number in range(25)))
    monkeypatch.setattr(mailbox_parser, "_PAGE_MESSAGES", 10)
    parser = mailbox_parser.MailboxParser(lambda *_: pytest.fail("there are no attachments"))
    offset: int | None = 0
    found: list[Member] = []
    sizes = []
    while offset is not None:
        page = parser.members(reader(data), len(data), offset)
        assert page is not None
        found += page.members
        sizes.append(len(page.members))
        offset = page.next_offset
    assert sizes == [10, 10, 5]
    assert [member.digest for member in found] == [
        hashlib.sha256(message(number)).hexdigest() for number in range(25)
    ]
    assert parser.members(reader(message(1)), 50, 0) is None
