"""Mailboxes in the library: one document a message, whatever happens to the file."""

from __future__ import annotations

import hashlib
import os
import random
from collections import Counter
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from mailbox_files import mbox, message

from ingest.errors import ParseFailure
from ingest.indexing import FileState, IndexReport, index, look
from ingest.parsers.base import Limits, Member
from ingest.sandbox import ParsedFile, ParserPool
from ingest.scan import ScannedFile, scan
from kvfiles.errors import Cancelled
from library.store import Library


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.create_or_open(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mail"
    made.mkdir()
    return made


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each kind of request was made."""
    made: Counter[str] = Counter()
    for name in ("parse", "members", "parse_member"):

        def counted(
            self: ParserPool, *args: object, name: str = name, call: object = getattr(ParserPool, name)
        ) -> object:
            made[name] += 1
            return call(self, *args)  # type: ignore[operator]  # one of three methods

        monkeypatch.setattr(ParserPool, name, counted)
    return made


def run(library: Library, *paths: Path, prune: bool = False, retry_failed: bool = False) -> IndexReport:
    with library.writing():
        return index(library, list(paths), prune=prune, retry_failed=retry_failed)


def counts(report: IndexReport) -> dict[str, int]:
    return {state.value: n for state, n in report.members.items() if n}


def titles(library: Library, *, missing: bool = False) -> set[str]:
    return {document.title for document in library.documents() if document.missing is missing}


def letter(number: int) -> str:
    return f"Letter {number} (2021-03-04, Ann)"


def test_day_and_sender_are_never_cut_from_a_title(library: Library, folder: Path) -> None:
    subject = "Re: " + "quarterly figures of the northern region " * 8
    sender = "Maximiliana Konstantinopolska-Featherstonehaugh the Younger, Esq."
    raw = [message(n).replace(f"Letter {n}".encode(), subject.encode()) for n in (1, 2)]
    raw[1] = raw[1].replace(b"Ann <", f'"{sender}" <'.encode()).replace(b"04 Mar", b"05 Mar")
    (folder / "box.mbox").write_bytes(mbox(*raw))
    run(library, folder)
    first, second = sorted(titles(library), key=lambda title: "2021-03-05" in title)
    assert {len(first) <= 140, len(second) <= 140} == {True}
    assert first.startswith("Re: quarterly figures")
    assert first.endswith("… (2021-03-04, Ann)")
    assert second.startswith("Re: quarterly figures")
    assert "(2021-03-05, Maximiliana Konstantinopolska" in second
    assert second.endswith(")")


def test_each_message_is_a_document(library: Library, folder: Path) -> None:
    made = EmailMessage()
    made["Subject"], made["From"] = "The / plan", "bob@example.org"
    made.set_content("see the table")
    made.add_attachment(b"lamp,price\nred,5\n", maintype="text", subtype="csv", filename="prices.csv")
    (folder / "box.mbox").write_bytes(mbox(message(1), bytes(made), message(2)))
    report = run(library, folder)
    assert counts(report) == {"new": 3}
    assert [outcome.state for outcome in report.outcomes] == [FileState.NEW]
    assert titles(library) == {letter(1), letter(2), "The / plan (bob@example.org)"}
    assert len(report.document_ids) == library.count() == 3
    first = library.document(report.document_ids[0])
    assert first.id == hashlib.sha256(message(1)).hexdigest()
    assert first.media_type == "message/rfc822"
    assert first.path == f"{folder}/box.mbox/{letter(1)} #{first.id[:24]}"
    (hit, *_) = library.search("price of the red lamp")
    assert hit.document.title == "The / plan (bob@example.org)"
    assert [page.label for page in library.text(hit.document.id).pages] == [
        "message (The / plan)",
        "message, prices.csv, rows 1-2",
    ]


def test_an_unchanged_mailbox_is_not_opened(library: Library, folder: Path, parsed: Counter[str]) -> None:
    (folder / "box.mbox").write_bytes(mbox(message(1), message(2)))
    first = run(library, folder)
    assert parsed == {"members": 1, "parse_member": 2}
    again = run(library, folder)
    assert parsed == {"members": 1, "parse_member": 2}
    assert [outcome.state for outcome in again.outcomes] == [FileState.UNCHANGED]
    assert again.document_ids == first.document_ids
    assert again.missing == ()


def test_of_a_changed_mailbox_only_new_messages_are_read(
    library: Library, folder: Path, parsed: Counter[str]
) -> None:
    box = folder / "box.mbox"
    box.write_bytes(mbox(message(1), message(2), message(3)))
    run(library, folder)
    kept = library.find(letter(3)).id
    box.write_bytes(mbox(message(4), message(3), message(1)))
    report = run(library, folder)
    assert counts(report) == {"new": 1, "unchanged": 2}
    assert parsed["parse_member"] == 4
    assert report.n_missing_members == 1
    assert titles(library, missing=True) == {letter(2)}
    assert library.find(letter(3)).id == kept
    assert [library.document(one).title for one in report.document_ids] == [letter(n) for n in (1, 3, 4)]
    run(library, folder, prune=True)
    assert titles(library) == {letter(1), letter(3), letter(4)}
    assert titles(library, missing=True) == set()


def test_an_appended_message_leaves_the_others_alone(
    library: Library, folder: Path, parsed: Counter[str]
) -> None:
    box = folder / "box.mbox"
    box.write_bytes(mbox(message(1), message(2)))
    run(library, folder)
    with box.open("ab") as file:
        file.write(mbox(message(3)))
    assert counts(run(library, folder)) == {"new": 1, "unchanged": 2}
    assert parsed["parse_member"] == 3


def test_a_message_twice_is_one_document(library: Library, folder: Path) -> None:
    (folder / "a.mbox").write_bytes(mbox(message(1), message(1), message(2)))
    (folder / "b.mbox").write_bytes(mbox(message(2)))
    (folder / "c.eml").write_bytes(message(2))
    report = run(library, folder)
    assert counts(report) == {"new": 2, "copy": 2}
    assert report.count(FileState.COPY) == 1
    assert library.count() == 2
    assert len(library.find(letter(2)).paths) == 3
    assert counts(run(library, folder)) == {}, "and all of it is known"


def test_a_removed_message_comes_back_with_the_next_run(library: Library, folder: Path) -> None:
    (folder / "box.mbox").write_bytes(mbox(message(1), message(2)))
    run(library, folder)
    library.remove(library.find(letter(1)).id)
    assert counts(run(library, folder)) == {"new": 1, "unchanged": 1}


def test_a_deleted_mailbox_is_marked_and_comes_back(
    library: Library, folder: Path, tmp_path: Path, parsed: Counter[str]
) -> None:
    (folder / "box.mbox").write_bytes(mbox(message(1), message(2)))
    (folder / "a.txt").write_text("something else")
    run(library, folder)
    (folder / "box.mbox").rename(tmp_path / "away")
    report = run(library, folder)
    assert report.missing == (str(folder / "box.mbox"),)
    assert titles(library, missing=True) == {letter(1), letter(2)}
    assert run(library, folder).missing == report.missing, "until --prune"
    (tmp_path / "away").rename(folder / "box.mbox")
    assert counts(run(library, folder)) == {"unchanged": 2}
    assert titles(library, missing=True) == set()
    assert parsed["parse_member"] == 2
    (folder / "box.mbox").unlink()
    run(library, folder, prune=True)
    assert {document.name for document in library.documents()} == {"a.txt"}
    assert run(library, folder).missing == ()


def test_a_renamed_mailbox_keeps_its_documents(library: Library, folder: Path) -> None:
    (folder / "box.mbox").write_bytes(mbox(message(1), message(2)))
    before = set(run(library, folder).document_ids)
    (folder / "box.mbox").rename(folder / "letters.mbox")
    report = run(library, folder, prune=True)
    assert set(report.document_ids) == before
    assert all("letters.mbox" in document.path for document in library.documents())


def test_a_mailbox_that_a_rule_leaves_out_is_marked(library: Library, folder: Path) -> None:
    (folder / "box.mbox").write_bytes(mbox(message(1)))
    (folder / "a.txt").write_text("text")
    run(library, folder)
    (folder / ".gitignore").write_text("*.mbox\n")
    assert run(library, folder).missing == (str(folder / "box.mbox"),)
    assert titles(library, missing=True) == {letter(1)}


def test_a_stop_in_the_middle_goes_on_where_it_was(
    library: Library, folder: Path, parsed: Counter[str]
) -> None:
    n_messages = 400
    (folder / "box.mbox").write_bytes(mbox(*(message(number) for number in range(n_messages))))
    told: list[str] = []
    with pytest.raises(Cancelled), library.writing():
        index(
            library,
            [folder],
            on_file=lambda outcome, _done, _total: told.append(outcome.title),
            cancelled=lambda: bool(told),
        )
    assert titles(library) == set(told)
    assert 0 < len(told) < n_messages
    assert counts(run(library, folder)) == {"unchanged": len(told), "new": n_messages - len(told)}
    assert library.count() == n_messages


def test_a_message_that_fails_costs_no_other(library: Library, folder: Path, parsed: Counter[str]) -> None:
    bad = b"Subject: nothing\nContent-Type: image/png\n\n" + b"From: \0\n"
    (folder / "box.mbox").write_bytes(mbox(message(1), b"X-Empty: yes\n\n \n", message(2), bad))
    report = run(library, folder)
    assert counts(report)["new"] >= 2
    n_failed = counts(report).get("failed", 0)
    assert n_failed >= 1
    (failure, *_) = library.failures()
    assert failure.path.startswith(f"{folder}/box.mbox/#")
    assert failure.remedy
    n_read = parsed["parse_member"]
    assert counts(run(library, folder)) == {}, "the mailbox is known with its failures"
    assert len(library.failures()) == n_failed
    assert counts(run(library, folder, retry_failed=True))["failed"] == n_failed
    assert parsed["parse_member"] == n_read + n_failed
    with (folder / "box.mbox").open("ab") as file:
        file.write(mbox(message(3)))
    assert counts(run(library, folder))["failed"] == n_failed, "told again, not tried again"
    assert parsed["parse_member"] == n_read + n_failed + 1
    (folder / "box.mbox").write_bytes(mbox(message(1)))
    run(library, folder)
    assert library.failures() == []


def test_a_mailbox_that_changes_meanwhile_is_gone_through_again(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = folder / "box.mbox"
    box.write_bytes(mbox(message(1), message(2)))
    parse_member = ParserPool.parse_member

    def meddle(self: ParserPool, file: ScannedFile, member: Member) -> ParsedFile:
        os.utime(box, ns=(1, 1))
        return parse_member(self, file, member)

    with monkeypatch.context() as patch:
        patch.setattr(ParserPool, "parse_member", meddle)
        report = run(library, folder)
    assert counts(report) == {"failed": 2}
    assert {outcome.failure.code for outcome in report.problems if outcome.failure} == {"changed"}
    assert counts(run(library, folder)) == {"new": 2}
    assert library.failures() == []


def test_one_message_under_the_name_of_a_mailbox(library: Library, folder: Path) -> None:
    box = folder / "box.mbox"
    box.write_bytes(message(7))
    report = run(library, folder)
    assert (counts(report), report.count(FileState.NEW)) == ({}, 1)
    assert titles(library) == {"Letter 7"}
    box.write_bytes(mbox(message(7), message(8)))
    assert counts(run(library, folder)) == {"copy": 1, "new": 1}
    assert library.document(hashlib.sha256(message(7)).hexdigest()).paths[0].startswith(f"{box}/")
    box.write_bytes(message(9))
    run(library, folder, prune=True)
    assert titles(library) == {"Letter 9"}


def test_a_mailbox_read_as_one_document_before_is_taken_apart(library: Library, folder: Path) -> None:
    box = folder / "box.mbox"
    box.write_bytes(mbox(message(1), message(2)))
    (file,) = scan([box]).files
    with ParserPool() as pool, library.writing():
        whole = pool.parse(file)
        from library.records import SourceFile

        source = SourceFile(str(box), file.size, file.mtime_ns)
        library.add(whole.document_id, source, whole.title, "message/rfc822", whole.text)
    assert counts(run(library, folder)) == {"new": 2}
    assert titles(library) == {letter(1), letter(2)}


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "empty"), (b"From x", "empty"), (bytes(5000), "binary"), (b"just words", "broken")],
)
def test_what_is_no_mailbox(library: Library, folder: Path, data: bytes, code: str) -> None:
    (folder / "box.mbox").write_bytes(data)
    for _ in range(2):
        (outcome,) = run(library, folder).outcomes
        assert outcome.failure is not None
        assert outcome.failure.code == code


def test_the_number_of_messages_is_bounded(library: Library, folder: Path) -> None:
    (folder / "box.mbox").write_bytes(mbox(*(message(number) for number in range(20))))
    (folder / "z.txt").write_text("after it")
    with library.writing():
        report = index(library, [folder], limits=Limits(max_members=10))
    states = [(outcome.state.value, outcome.failure and outcome.failure.code) for outcome in report.outcomes]
    assert states == [("failed", "too-large"), ("new", None)]


def test_a_message_over_the_limit_is_named(library: Library, folder: Path) -> None:
    (folder / "box.mbox").write_bytes(mbox(message(1), message(2, "x" * 5000), message(3)))
    with library.writing():
        report = index(library, [folder], limits=Limits(max_file_bytes=1000))
    assert counts(report) == {"new": 2, "failed": 1}
    (failure,) = library.failures()
    assert failure.code == "too-large"


def test_a_dry_look_at_a_mailbox(folder: Path) -> None:
    (folder / "box.mbox").write_bytes(mbox(message(1), message(1), message(2)))
    seen = list(look(None, scan([folder]).files, retry_failed=False))
    assert [s.outcome.state.value for s in seen] == ["new", "copy", "new", "new"]
    assert [s.is_container for s in seen] == [False, False, False, True]


def test_noise_gives_messages_or_failures(library: Library, folder: Path) -> None:
    whole = mbox(*(message(number) for number in range(4)))
    chance = random.Random(11)
    for number in range(40):
        data = bytearray(whole)
        for _ in range(10):
            data[chance.randrange(len(data))] = chance.randrange(256)
        (folder / f"{number:02}.mbox").write_bytes(data)
    report = run(library, folder)
    assert len(report.outcomes) == 40
    codes = {outcome.failure.code for outcome in report.problems if outcome.failure}
    assert codes <= {"broken", "empty", "binary", "garbled"}
    assert run(library, folder).document_ids == report.document_ids


def test_a_mailbox_attached_to_a_message_is_one_document_with_it() -> None:
    from format_files import parse

    made = EmailMessage()
    made["Subject"] = "archive"
    made.set_content("see attached")
    made.add_attachment(
        mbox(message(1), message(2)), maintype="application", subtype="octet-stream", filename="old.mbox"
    )
    document = parse(".eml", bytes(made))
    assert len(document.pages) == 3
    with pytest.raises(ParseFailure):
        parse(".mbox", b"no mail")
