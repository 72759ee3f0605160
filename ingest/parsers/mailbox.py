"""Mailboxes (MBOX): a container whose members are messages, one document each.

Where a single document is asked for (a mailbox attached to a message, one file without a library), all
messages become one, with a place for each.
"""

from __future__ import annotations

from ingest.errors import ParseFailure
from ingest.parsers.assembly import assemble
from ingest.parsers.base import Limits, Member, MemberPage, ParsedDocument, ParsedPage, ReadAt
from ingest.parsers.mail import MailReader, PickParser, check_is_mail, parse_message
from ingest.parsers.mbox_format import MARK, digest, message_ranges, split, unquoted

MAX_MESSAGES = 10_000
"""Of a mailbox that becomes one document."""
_PAGE_MESSAGES = 500
_PAGE_BYTES = 32_000_000


class MailboxParser:
    """``.mbox``.  Attachments are read by the parser that `pick` names."""

    name = "mailbox"
    media_type = "application/mbox"
    member_media_type = "message/rfc822"
    suffixes = frozenset({".mbox", ".mbx"})

    def __init__(self, pick: PickParser) -> None:
        self._pick = pick

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """All messages as one document, or the only one; see `base.Parser.parse`.

        Raises:
            ParseFailure: also "too-large": more than `MAX_MESSAGES` messages.
        """
        check_is_mail(data)
        messages = list(split(data)) if data.startswith(MARK) else [data.lstrip()]
        if len(messages) == 1:
            return parse_message(messages[0], stem, self._pick, limits)
        if len(messages) > MAX_MESSAGES:
            raise ParseFailure(
                "too-large",
                detail=f"{len(messages):,} messages, the limit is {MAX_MESSAGES:,}",
                remedy="split the mailbox into smaller ones, for example one a year",
            )
        reader = MailReader(self._pick, limits)
        pages: list[ParsedPage] = []
        for number, raw in enumerate(messages, start=1):
            place = f"message {number}"
            try:
                pages += reader.read(raw, place)
            except (ParseFailure, MemoryError):
                raise
            except Exception as error:  # the standard library stumbles over some malformed headers
                reader.warnings.append(f"{place} could not be read: {type(error).__name__}")
        return assemble(pages, stem, stem=stem, warnings=reader.warnings)

    def members(self, read_at: ReadAt, size: int, offset: int) -> MemberPage | None:
        """See `base.Container.members`; None for a single message under the name of a mailbox."""
        if read_at(offset, len(MARK)) != MARK:
            return None
        found: list[Member] = []
        n_bytes = 0
        for message in message_ranges(read_at, size, offset):
            if found and (len(found) >= _PAGE_MESSAGES or n_bytes >= _PAGE_BYTES):
                return MemberPage(tuple(found), message.line)
            n_bytes += message.stop - message.line
            found.append(Member(message.start, message.stop, digest(read_at, message.start, message.stop)))
        return MemberPage(tuple(found), None)

    def parse_member(self, data: bytes, limits: Limits) -> ParsedDocument:
        """One message, its sender and day in the title."""
        return parse_message(unquoted(data), "message", self._pick, limits, in_mailbox=True)
