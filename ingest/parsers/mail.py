"""E-mail: a message with its headers, its body, and the files attached to it.

Headers that a reader sees come first, then the body: its plain text, or the text of its HTML form.  Attached
files of a known kind are read as well and follow their message; messages within messages too.
Signatures are not checked, encrypted messages are not opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING

from ingest.errors import ParseFailure
from ingest.parsers.assembly import assemble
from ingest.parsers.base import Limits, ParsedDocument, ParsedPage, Parser
from ingest.parsers.decoding import decode
from ingest.parsers.flow import join_blocks
from ingest.parsers.languages import language_tag
from ingest.parsers.mbox_format import MARK, split
from ingest.parsers.titles import MAX_TITLE_CHARS, shorten
from ingest.parsers.webpage import web_text

if TYPE_CHECKING:
    from email.message import EmailMessage

MAX_PARTS = 1_000  # of one message
MAX_DEPTH = 10  # of messages within messages
_MAX_SUBJECT_CHARS = 40
_MAX_HEADER_CHARS = 2_000
_MAX_RAW_HEADER_CHARS = 20_000  # making sense of a header takes a thousand times its size in memory
_MAX_SENDER_CHARS = 60
_MAIL = frozenset({"mail", "mailbox"})
_HEADER = re.compile(rb"\s*(?:[!-9;-~]{1,100}:[^\n]*\n)")
_SHOWN_HEADERS = ("From", "To", "Cc", "Date", "Subject")

PickParser = Callable[[str, bytes], Parser]
"""The parser for a file of this suffix and content; `ParseFailure` when there is none."""


class MailParser:
    """``.eml``.  Attachments are read by the parser that `pick` names."""

    name = "mail"
    media_type = "message/rfc822"
    suffixes = frozenset({".eml"})

    def __init__(self, pick: PickParser, mailboxes: Parser) -> None:
        self._pick = pick
        self._mailboxes = mailboxes

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Read a message; a mailbox under this name is read as one.  See `base.Parser.parse`."""
        if data.startswith(MARK):
            return self._mailboxes.parse(data, stem, limits)
        check_is_mail(data)
        return parse_message(data.lstrip(), stem, self._pick, limits)


def check_is_mail(data: bytes) -> None:
    """Raises ParseFailure: "empty", "binary" or "broken": neither a mailbox nor a message."""
    if not data.strip():
        raise ParseFailure("empty", remedy="nothing to read; leave it out")
    if b"\0" in data[:1000]:
        raise ParseFailure("binary")
    if not data.startswith(MARK) and not _HEADER.match(data):
        raise ParseFailure("broken", detail="it does not begin with the headers of a message")


def parse_message(
    raw: bytes, stem: str, pick: PickParser, limits: Limits, *, in_mailbox: bool = False
) -> ParsedDocument:
    """One message as a document, called by its subject; `in_mailbox` adds day and sender to that.

    Raises:
        ParseFailure: it cannot be read.
    """
    reader = MailReader(pick, limits)
    try:
        pages = reader.read(raw, "message")
    except (ParseFailure, MemoryError):
        raise
    except Exception as error:  # the standard library stumbles over some malformed headers
        raise ParseFailure("broken", detail=f"{type(error).__name__}: {error}") from error
    title = reader.subject
    if in_mailbox:
        about = ", ".join(part for part in (reader.day, reader.sender) if part)
        ending = f" ({about})" if about else ""
        # Day and sender tell messages of one subject apart: it is the subject that is cut.
        title = shorten(title or "Message", MAX_TITLE_CHARS - len(ending)) + ending if ending else title
    return assemble(pages, title, stem=stem, warnings=reader.warnings, language=reader.language)


class MailReader:
    """Reads messages; `warnings` gather what was left out; `subject`, `day` and `sender` are those of the
    first message, "" when unknown; `language` is the first that one states."""

    def __init__(self, pick: PickParser, limits: Limits) -> None:
        self.warnings: list[str] = []
        self.subject = ""
        self.language: str | None = None
        self.day = ""
        self.sender = ""
        self._pick = pick
        self._limits = limits
        self._n_attached = 0

    def read(self, raw: bytes, place: str) -> list[ParsedPage]:
        """The message and what is attached to it; `place` is what to call it."""
        message = _message(raw)
        self.day, self.sender = self.day or _day(message), self.sender or _sender(message)
        return list(self._pages(message, place, 0))

    def _pages(self, message: EmailMessage, place: str, depth: int) -> Iterator[ParsedPage]:
        if depth == 0:
            self._n_attached = 0
        subject = _header(message, "Subject")
        self.subject = self.subject or subject
        self.language = self.language or language_tag(_header(message, "Content-Language"))
        about = ", ".join(part for part in (_day(message), shorten(subject, _MAX_SUBJECT_CHARS)) if part)
        headers = [f"{name}: {value}" for name in _SHOWN_HEADERS if (value := _header(message, name))]
        body, attachments = self._parts(message, place)
        yield ParsedPage(f"{place} ({about})" if about else place, "\n".join(headers) + f"\n\n{body}\n\n")
        for part in attachments:
            yield from self._attachment(part, place, depth)

    def _parts(self, message: EmailMessage, place: str) -> tuple[str, list[EmailMessage]]:
        """The text of the body, and the attached parts."""
        if message.get_content_type() == "multipart/encrypted":
            self.warnings.append(f"{place} is encrypted and was not opened")
        texts: list[str] = []
        attachments: list[EmailMessage] = []
        waiting, n_parts = [message], 0
        while waiting and n_parts < MAX_PARTS:
            part = waiting.pop(0)
            n_parts += 1
            kind = part.get_content_type()
            is_attached = part is not message and (
                part.get_content_disposition() == "attachment" or part.get_filename()
            )
            if is_attached or kind == "message/rfc822":
                attachments.append(part)
            elif part.is_multipart():
                children = list(_children(part))
                waiting[:0] = _preferred(children) if kind == "multipart/alternative" else children
            elif kind == "text/html":
                texts.append(join_blocks(web_text(self._decoded(part, place)).blocks).strip())
            elif part.get_content_maintype() == "text":
                texts.append(self._decoded(part, place).strip())
            elif kind.partition("/")[0] not in ("image", "multipart") and not kind.endswith("signature"):
                self.warnings.append(f"{place}: a part of type {kind} was not read")
        if waiting:
            self.warnings.append(f"{place} has more than {MAX_PARTS} parts: the rest was not read")
        return "\n\n".join(text for text in texts if text), attachments

    def _decoded(self, part: EmailMessage, place: str) -> str:
        data = _payload(part)
        charset = part.get_content_charset("")
        if charset and charset.isascii() and charset.replace("-", "").replace("_", "").isalnum():
            try:
                return data.decode(charset)
            except (LookupError, ValueError):
                pass  # an unknown encoding, or the wrong one: look at the bytes
        try:
            return decode(data).text
        except ParseFailure:
            self.warnings.append(f"{place}: a part that should be text is not")
            return ""

    def _attachment(self, part: EmailMessage, place: str, depth: int) -> Iterator[ParsedPage]:
        if part.get_content_type() == "message/rfc822":
            inner = next(_children(part), None)
            if inner is not None and depth < MAX_DEPTH:
                self._n_attached += 1
                root = place.partition(", attached message")[0]
                yield from self._pages(inner, f"{root}, attached message {self._n_attached}", depth + 1)
            else:
                self.warnings.append(f"{place}: an attached message was not read")
            return
        name = shorten(part.get_filename() or "without a name", 100)
        path = PurePath(name)
        try:
            data = _payload(part)
            parser = self._pick(path.suffix, data)
            if parser.name in _MAIL:
                found = self._attached_mail(data, place, depth)
            else:
                found = self._attached_document(parser, data, place, path)
        except ParseFailure as failure:
            self.warnings.append(f"{place}: attachment {name} was not read: {failure.message}")
            return
        except MemoryError:
            raise
        except Exception as error:  # a broken attachment must not cost the mailbox
            self.warnings.append(f"{place}: attachment {name} was not read: {type(error).__name__}")
            return
        yield from found

    def _attached_document(self, parser: Parser, data: bytes, place: str, path: PurePath) -> list[ParsedPage]:
        document = parser.parse(data, path.stem, self._limits)
        self.warnings += [f"{place}, {path}: {warning}" for warning in document.warnings]
        label = shorten(f"{place}, {path}", 50)
        return [ParsedPage(f"{label}, {page.label}", page.text) for page in document.pages]

    def _attached_mail(self, data: bytes, place: str, depth: int) -> list[ParsedPage]:
        """Messages and mailboxes attached as files: as deep as attached messages, and no deeper."""
        check_is_mail(data)
        if depth >= MAX_DEPTH:
            raise ParseFailure("unsupported", detail="too many messages within messages")
        messages = split(data) if data.startswith(MARK) else iter([data.lstrip()])
        root = place.partition(", attached message")[0]
        pages: list[ParsedPage] = []
        for raw in islice(messages, MAX_PARTS):
            self._n_attached += 1
            pages += self._pages(_message(raw), f"{root}, attached message {self._n_attached}", depth + 1)
        if next(messages, None) is not None:
            self.warnings.append(f"{place}: of an attached mailbox {MAX_PARTS} messages were read")
        return pages


def _message(raw: bytes) -> EmailMessage:
    from email import policy
    from email.parser import BytesParser

    return BytesParser(policy=policy.default).parsebytes(raw)


def _preferred(alternatives: list[EmailMessage]) -> list[EmailMessage]:
    """Of the forms of one text, the plain one with text, else the last, which is the richest."""
    for part in alternatives:
        if part.get_content_type() == "text/plain" and _payload(part).strip():
            return [part]
    return alternatives[-1:]


def _children(part: EmailMessage) -> Iterator[EmailMessage]:
    """The parts of a part; those of a damaged one may be of another class and are passed over."""
    kind = type(part)
    return (child for child in part.iter_parts() if isinstance(child, kind))


def _payload(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _header(message: EmailMessage, name: str) -> str:
    """A header in plain words, as it stands when it cannot be made sense of; "" when it is missing."""
    raw = str(next((value for key, value in message.raw_items() if key.lower() == name.lower()), ""))
    if len(raw) <= _MAX_RAW_HEADER_CHARS:
        # The standard library's header parser stumbles over some malformed addresses and dates.
        with suppress(ValueError, LookupError, AttributeError, TypeError, OverflowError, RecursionError):
            return shorten(str(message.get(name, "")), _MAX_HEADER_CHARS)
    return shorten(raw, _MAX_HEADER_CHARS)


def _day(message: EmailMessage) -> str:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(_header(message, "Date")).date().isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""


def _sender(message: EmailMessage) -> str:
    """The name of the sender, the address when there is no name."""
    from email.utils import parseaddr

    try:
        name, address = parseaddr(_header(message, "From"))
    except (ValueError, TypeError, IndexError):
        return ""
    return shorten(name or address, _MAX_SENDER_CHARS)
