"""E-mail: single messages (EML) and mailboxes (MBOX), one document a file, one place a message.

Headers that a reader sees come first, then the body: its plain text, or the text of its HTML form.  Attached
files of a known kind are read as well and follow their message; messages within messages too.
Signatures are not checked, encrypted messages are not opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING

from ingest.errors import ParseFailure
from ingest.parsers.assembly import assemble
from ingest.parsers.base import Limits, ParsedDocument, ParsedPage, Parser
from ingest.parsers.decoding import decode
from ingest.parsers.flow import join_blocks
from ingest.parsers.titles import shorten
from ingest.parsers.webpage import web_text

if TYPE_CHECKING:
    from email.message import EmailMessage

MAX_MESSAGES = 10_000
MAX_PARTS = 1_000  # of one message
MAX_DEPTH = 10  # of messages within messages
_MAX_SUBJECT_CHARS = 40
_MAX_HEADER_CHARS = 2_000
_SHOWN_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_FROM_LINE = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\n]{0,500}\n")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)

PickParser = Callable[[str, bytes], Parser]
"""The parser for a file of this suffix and content; `ParseFailure` when there is none."""


class MailParser:
    """``.eml`` and ``.mbox``.  Attachments are read by the parser that `pick` names."""

    name = "mail"
    media_type = "message/rfc822"
    suffixes = frozenset({".eml", ".mbox", ".mbx"})

    def __init__(self, pick: PickParser) -> None:
        self._pick = pick

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Read all messages; see `base.Parser.parse`.

        Raises:
            ParseFailure: also "too-large": more than `MAX_MESSAGES` messages.
        """
        if not data.strip():
            raise ParseFailure("empty", remedy="nothing to read; leave it out")
        if b"\0" in data[:1000]:
            raise ParseFailure("binary")
        from email import policy
        from email.parser import BytesParser

        messages = list(_split(data))
        reader = _Reader(self._pick, limits)
        pages: list[ParsedPage] = []
        for number, raw in enumerate(messages, start=1):
            place = f"message {number}" if len(messages) > 1 else "message"
            try:
                pages += reader.pages(BytesParser(policy=policy.default).parsebytes(raw), place, 0)
            except (ParseFailure, MemoryError):
                raise
            except Exception as error:  # the standard library stumbles over some malformed headers
                if len(messages) == 1:
                    raise ParseFailure("broken", detail=f"{type(error).__name__}: {error}") from error
                reader.warnings.append(f"{place} could not be read: {type(error).__name__}")
        title = reader.subject if len(messages) == 1 else stem
        return assemble(pages, title, stem=stem, warnings=reader.warnings)


def _split(data: bytes) -> Iterator[bytes]:
    """The messages of a mailbox; a file that does not begin like one is a single message.

    Raises:
        ParseFailure: "broken" (neither a mailbox nor a message) or "too-large".
    """
    if not data.startswith(b"From "):
        if not re.match(rb"\s*(?:[!-9;-~]{1,100}:[^\n]*\n)", data):
            raise ParseFailure("broken", detail="it does not begin with the headers of a message")
        yield data.lstrip()
        return
    lines = list(_FROM_LINE.finditer(data))
    if len(lines) > MAX_MESSAGES:
        raise ParseFailure(
            "too-large",
            detail=f"{len(lines):,} messages, the limit is {MAX_MESSAGES:,}",
            remedy="split the mailbox into smaller ones, for example one a year",
        )
    ends = [line.start() for line in lines[1:]] + [len(data)]
    for line, end in zip(lines, ends, strict=True):
        yield _QUOTED_FROM.sub(rb"\1", data[line.end() : end])


class _Reader:
    """Reads messages; `warnings` gather what was left out, `subject` is that of the first message."""

    def __init__(self, pick: PickParser, limits: Limits) -> None:
        self.warnings: list[str] = []
        self.subject = ""
        self._pick = pick
        self._limits = limits
        self._n_attached = 0

    def pages(self, message: EmailMessage, place: str, depth: int) -> Iterator[ParsedPage]:
        if depth == 0:
            self._n_attached = 0
        subject = _header(message, "Subject")
        self.subject = self.subject or subject
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
                yield from self.pages(inner, f"{root}, attached message {self._n_attached}", depth + 1)
            else:
                self.warnings.append(f"{place}: an attached message was not read")
            return
        name = shorten(part.get_filename() or "without a name", 100)
        path = PurePath(name)
        try:
            data = _payload(part)
            parser = self._pick(path.suffix, data)
            if isinstance(parser, MailParser) and depth >= MAX_DEPTH:
                raise ParseFailure("unsupported", detail="too many messages within messages")
            document = parser.parse(data, path.stem, self._limits)
        except ParseFailure as failure:
            self.warnings.append(f"{place}: attachment {name} was not read: {failure.message}")
            return
        except MemoryError:
            raise
        except Exception as error:  # a broken attachment must not cost the mailbox
            self.warnings.append(f"{place}: attachment {name} was not read: {type(error).__name__}")
            return
        self.warnings += [f"{place}, {name}: {warning}" for warning in document.warnings]
        for page in document.pages:
            yield ParsedPage(f"{shorten(f'{place}, {name}', 50)}, {page.label}", page.text)


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
    """A header in plain words; "" when it is missing or cannot be made sense of."""
    try:
        return shorten(str(message.get(name, "")), _MAX_HEADER_CHARS)
    except (ValueError, LookupError, IndexError, AttributeError, TypeError):
        # The standard library's header parser stumbles over some malformed addresses and dates.
        raw = next((value for key, value in message.raw_items() if key.lower() == name.lower()), "")
        return shorten(str(raw), _MAX_HEADER_CHARS)


def _day(message: EmailMessage) -> str:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(_header(message, "Date")).date().isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
