"""Messages and mailboxes as bytes."""

from __future__ import annotations


def message(number: int, body: str = "") -> bytes:
    return (
        f"From: Ann <ann@example.org>\nSubject: Letter {number}\nDate: Thu, 04 Mar 2021 10:00:00 +0100\n\n"
        f"{body or f'This is letter number {number}.'}\n"
    ).encode()


def mbox(*messages: bytes) -> bytes:
    return b"".join(b"From ann@example.org Thu Mar  4 10:00:00 2021\n" + raw + b"\n" for raw in messages)
