"""E-mail: one place a message, its text once, its attachments read."""

from __future__ import annotations

import mailbox
import random
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from format_files import docx, outcome, parse, text_of, w_p

from ingest.errors import ParseFailure
from ingest.parsers import mail
from ingest.parsers import mailbox as mailbox_parser

HOSTILE_HEADERS = (
    b'Subject: =?utf-8?b?////?=\nFrom: "\xff <@@,,;:>\nTo: (((((\nDate: Thu, 99 Foo 99999\nCc: a:b;c:d;,\n'
)


def message(subject: str = "Hello", body: str = "How are you?") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"] = "Ann <ann@example.org>", "Jörg <j@example.org>"
    made["Subject"], made["Date"] = subject, "Thu, 04 Mar 2021 10:00:00 +0100"
    made["X-Spam"] = "no"
    made.set_content(body)
    return made


def test_a_message_with_its_headers() -> None:
    document = parse(".eml", message("Größe").as_bytes())
    assert document.title == "Größe"
    assert [page.label for page in document.pages] == ["message (2021-03-04, Größe)"]
    assert text_of(document) == (
        "From: Ann <ann@example.org>\nTo: Jörg <j@example.org>\nDate: Thu, 04 Mar 2021 10:00:00 +0100\n"
        "Subject: Größe\n\n"
        "How are you?\n\n"
    )


def test_of_two_forms_one_is_read() -> None:
    made = message(body="plain form")
    made.add_alternative("<p>rich form", subtype="html")
    text = text_of(parse(".eml", made.as_bytes()))
    assert "plain form" in text
    assert "rich form" not in text
    only_rich = EmailMessage()
    only_rich["Subject"] = "x"
    only_rich.set_content("<style>p{}</style><p>rich<p>form", subtype="html")
    assert text_of(parse(".eml", only_rich.as_bytes())) == "Subject: x\n\nrich\n\nform\n\n"


def test_attachments_are_read_or_named() -> None:
    made = message()
    made.add_attachment(
        docx(w_p("the plan")), maintype="application", subtype="octet-stream", filename="plan.docx"
    )
    made.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="photo.png")
    made.add_attachment(b"no pdf", maintype="application", subtype="pdf", filename="../../b\x1bad.pdf")
    inner = message("Inner", "deep inside")
    made.add_attachment(inner)
    document = parse(".eml", made.as_bytes())
    assert [page.label for page in document.pages] == [
        "message (2021-03-04, Hello)",
        "message, plan.docx, paragraph 1",
        "message, attached message 1 (2021-03-04, Inner)",
    ]
    assert "the plan" in document.pages[1].text
    assert "deep inside" in document.pages[2].text
    assert [warning.split(" was not read")[0] for warning in document.warnings] == [
        "message: attachment photo.png",
        "message: attachment ../../bad.pdf",
    ]


def test_mailboxes_as_the_standard_library_writes_them(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "box.mbox")
    bodies = ["one\n", "two\n\nFrom here on\nit goes\n", "three\n"]
    for number, body in enumerate(bodies, start=1):
        box.add(message(f"No {number}", body))
    box.close()
    document = parse(".mbox", (tmp_path / "box.mbox").read_bytes(), stem="archive")
    assert document.title == "archive"
    assert [page.label for page in document.pages] == [
        f"message {number} (2021-03-04, No {number})" for number in (1, 2, 3)
    ]
    for page, body in zip(document.pages, bodies, strict=True):
        assert body.strip() in page.text
    assert "\n\nFrom here on" in document.pages[1].text


def test_mailboxes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    one = b"From x Thu Mar  4 10:00:00 2021\nSubject: s\n\nb\n\n"
    with pytest.raises(ParseFailure) as caught:
        parse(".mbox", one * 100_000)
    assert caught.value.code == "too-large"
    assert "split" in caught.value.remedy
    monkeypatch.setattr(mailbox_parser, "MAX_MESSAGES", 3)
    assert len(parse(".mbox", one * 3).pages) == 3


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "no-such", "base64", "idna"])
def test_charsets(charset: str) -> None:
    encoded = "Grüße aus Köln und Düsseldorf".encode("iso-8859-1" if charset == "iso-8859-1" else "utf-8")
    kind = f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: 8bit"
    head = f"Subject: s\n{kind}\n\n".encode()
    assert "Grüße aus Köln" in text_of(parse(".eml", head + encoded))


def test_messages_within_messages_are_bounded() -> None:
    nested = message("core", "core")
    for level in range(30):
        outer = message(f"level {level}")
        outer.add_attachment(nested)
        nested = outer
    document = parse(".eml", nested.as_bytes())
    assert len(document.pages) == mail.MAX_DEPTH + 1
    assert "an attached message was not read" in document.warnings[0]


@pytest.mark.parametrize("n_levels", [50, 5_000])
def test_deeply_nested_parts(n_levels: int) -> None:
    head = b"Subject: s\n"
    data = head + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(n_levels)
    )
    assert outcome(".eml", data + b"\ncore\n") in {"read", "broken"}


def test_malformed_headers_cost_nothing_else() -> None:
    assert "body" in text_of(parse(".eml", HOSTILE_HEADERS + b"\nbody\n"))


def test_noise_gives_text_or_a_failure() -> None:
    made = message()
    made.add_alternative("<p>rich form", subtype="html")
    made.add_attachment(b"a,b\n1,2\n", maintype="text", subtype="csv", filename="t.csv")
    whole = made.as_bytes()
    assert message_from_bytes(whole, policy=policy.default)["Subject"] == "Hello"
    chance = random.Random(3)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(6):
            data[chance.randrange(len(data))] = chance.randrange(256)
        assert outcome(".eml", bytes(data)) in {"read", "broken", "binary", "empty"}


@pytest.mark.parametrize(
    ("data", "code"), [(b"", "empty"), (b"just words\nof text", "broken"), (bytes(50), "binary")]
)
def test_what_is_no_mail(data: bytes, code: str) -> None:
    with pytest.raises(ParseFailure) as caught:
        parse(".eml", data)
    assert caught.value.code == code


def test_numbers_beyond_all_dates_cost_nothing_else() -> None:
    date = f"Thu, 04 Mar {'9' * 30} 10:00:00 +0100"
    raw = message().as_bytes().replace(b"Thu, 04 Mar 2021 10:00:00 +0100", date.encode())
    document = parse(".eml", raw)
    assert document.title == "Hello"
    assert "How are you?" in text_of(document)
    assert date in text_of(document)
