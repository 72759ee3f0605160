"""A mailbox of very many messages: how long it takes, how much memory, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eval.bench.library.commands import CommandCost, run_program
from eval.bench.library.synthetic import texts
from library.files import tree_size
from library.store import Library

_NEIGHBOUR = "after.txt"
_BYTES_OF_A_MESSAGE = 5_000
"""On disk, with its share of mailbox, catalogue and index (which is there twice while it merges)."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """`beyondrag ingest --index-only` of a mailbox of `n_messages`, and one small file behind it.

    `n_documents` are in the library then; `failures` are its rows of `ingest --failed`, at most ten.
    """

    n_messages: int
    mailbox_bytes: int
    n_documents: int
    n_failures: int
    failures: list[str]
    library_bytes: int
    first: CommandCost
    again: CommandCost

    @property
    def messages_per_s(self) -> float:
        return min(self.n_messages, self.n_documents) / self.first.wall_s


def needed_bytes(n_messages: int) -> int:
    """About the room that `measure_mailbox` takes on the disk."""
    return n_messages * _BYTES_OF_A_MESSAGE


def measure_mailbox(folder: Path, n_messages: int, n_words: int, seed: int) -> Mailbox:
    """Write the mailbox, ingest it, then ingest it again unchanged.  Raises StorageError."""
    files, root = folder / "mail", folder / "mail-library"
    files.mkdir()
    mailbox = files / "a.mbox"
    write_mailbox(mailbox, n_messages, n_words, seed)
    (files / _NEIGHBOUR).write_text("The file behind the mailbox.\n")
    command = ["ingest", str(files), "--index-only", "--json", "--library", str(root)]
    first, again = run_program(command, folder), run_program(command, folder)
    with Library.open(root) as library:
        failures = library.failures()
        return Mailbox(
            n_messages=n_messages,
            mailbox_bytes=mailbox.stat().st_size,
            n_documents=library.count(),
            n_failures=len(failures),
            failures=[f"{Path(failure.path).name}: {failure.reason}" for failure in failures[:10]],
            library_bytes=tree_size(root),
            first=first,
            again=again,
        )


def write_mailbox(file: Path, n_messages: int, n_words: int, seed: int) -> None:
    """`n_messages` different messages of about `n_words` words, written one by one."""
    with file.open("w", encoding="ascii", newline="\n") as out:
        for number, text in enumerate(texts(n_messages, n_words, seed)):
            out.write(
                "From ann@example.org Thu Mar  4 10:00:00 2021\n"
                f"From: Ann {text.words[0]} <ann@example.org>\n"
                f"Subject: {text.title}\n"
                f"Message-ID: <{number}@example.org>\n"
                "Date: Thu, 04 Mar 2021 10:00:00 +0100\n\n"
                f"{' '.join(text.words)}\n\n"
            )


def rows(mailbox: Mailbox) -> list[list[str]]:
    """For people: what was measured, the figure, a remark."""
    told = "; ".join(mailbox.failures) or "no failure"
    return [
        [
            f"mailbox of {mailbox.n_messages:,} messages, {mailbox.mailbox_bytes / 1e6:,.0f} MB",
            f"{mailbox.first.wall_s:,.0f} s",
            f"{mailbox.messages_per_s:,.0f} messages/s, {mailbox.first.cpu_s:,.0f} s of CPU",
        ],
        [
            "documents in the library then",
            f"{mailbox.n_documents:,}",
            f"{mailbox.n_failures:,} failed: {told}",
        ],
        ["memory of its largest process", f"{mailbox.first.peak_bytes / 1e6:,.0f} MB", ""],
        ["the library on disk", f"{mailbox.library_bytes / 1e6:,.0f} MB", ""],
        ["the same again, nothing changed", f"{mailbox.again.wall_s:,.1f} s", ""],
    ]
