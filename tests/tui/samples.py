"""Documents, answers and turns for the tests of the app: values only."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from beyondrag.document_state import DocumentState, State
from beyondrag.events import Answer, ChosenDocument, Source, Timings
from beyondrag.service.interface import Conversation, ConversationSummary, Turn
from beyondrag.service.notices import Problem, ReadPart, Ready, WhatWasRead
from library.records import DocumentRecord, DocumentText, PageSpan, Passage, SnapshotRecord

NOW = 1_760_000_000.0
MODEL = "qwen2.5-coder-1.5b"
HOSTILE = "[/] [bold]x[/bold] \x1b[31mred\x1b]0;title\x07 \u202egnp.exe\u2066 \u0007[link=http://x]y"
"""Markup, colour and title sequences, direction overrides."""

READY = Ready(MODEL, "k4v4", 16_384, 2, 1.2, 1_650_000_000)
PROBLEM = Problem("DecodeError", "llama.cpp refused the batch", "the model", "ask again")


def document_id(name: str) -> str:
    return sha256(name.encode()).hexdigest()


def record(
    name: str = "report.pdf", title: str = "Report on the accident", n_pages: int = 3, path: str = ""
) -> DocumentRecord:
    return DocumentRecord(
        id=document_id(name),
        title=title,
        media_type="application/pdf",
        n_chars=9_000,
        n_pages=n_pages,
        added_at=NOW,
        paths=(path or f"/documents/{name}",),
        missing=False,
        warnings=(),
    )


def snapshot(document: DocumentRecord, n_tokens: int = 2_000, size_bytes: int = 15_000_000) -> SnapshotRecord:
    path = Path(f"/library/{document.short_id}.kv")
    return SnapshotRecord(document.id, 0, "p" * 64, path, size_bytes, n_tokens, "k4v4", NOW, NOW)


def state(document: DocumentRecord, kind: State = "ready", n_tokens: int | None = 2_000) -> DocumentState:
    held = (snapshot(document, n_tokens or 0),) if kind in ("ready", "stale") else ()
    return DocumentState(document, kind, n_tokens, 1, int(kind == "ready"), held)


def text(n_pages: int = 3, lines: int = 40) -> DocumentText:
    """Pages whose lines say where they are: "page 2 line 7: ..."."""
    whole, pages = "", []
    for page in range(1, n_pages + 1):
        start = len(whole)
        whole += "".join(
            f"page {page} line {line}: the pilot was {line} years old.\n" for line in range(lines)
        )
        pages.append(PageSpan(str(page), start, len(whole)))
    return DocumentText(whole, tuple(pages))


def quote_in(body: DocumentText, quote: str, document: DocumentRecord) -> Source:
    """A source whose quote is looked up in the text."""
    start = body.text.index(quote)
    page = body.page_at(start).label
    return Source(document.id, document.path, document.title, page, quote, start, start + len(quote))


def chosen(
    document: DocumentRecord, score: float = 12.5, passage: str = "the pilot was 7 years old"
) -> ChosenDocument:
    return ChosenDocument(
        id=document.id,
        path=document.path,
        title=document.title,
        volume=0,
        label="whole document",
        n_tokens=2_000,
        score=score,
        read_from="snapshot",
        passages=(Passage(0, len(passage), "2", passage, score),),
    )


def answer(
    question: str,
    written: str,
    documents: tuple[DocumentRecord, ...] = (),
    sources: tuple[Source, ...] = (),
    *,
    nearest: tuple[Source, ...] = (),
    left_out: tuple[str, ...] = (),
    abstained: bool = False,
    checked: bool = True,
) -> Answer:
    return Answer(
        question=question,
        answer=written,
        abstained=abstained,
        checked=checked,
        documents=tuple(chosen(document) for document in documents),
        sources=sources,
        nearest=nearest,
        left_out=left_out,
        timings=Timings(0.0, 0.01, 0.12, 0.9, 3.4, 11.8),
        prefilled_tokens=0,
        log_odds=2.0,
    )


def read(documents: tuple[DocumentRecord, ...], left_out: tuple[str, ...] = ()) -> WhatWasRead:
    parts, position = [], 31
    for document in documents:
        parts.append(
            ReadPart(
                document.id,
                document.title,
                "whole document",
                position,
                position + 2_000,
                "snapshot",
                "k4v4",
                4.13,
            )
        )
        position += 2_000
    return WhatWasRead(31, tuple(parts), left_out, 16_384)


def conversation(*questions: str, name: str = "c1") -> Conversation:
    turns = tuple(
        Turn(
            f"{name}-{index}", question, NOW + index, answer(question, f"Answer to {question}"), "", read(())
        )
        for index, question in enumerate(questions)
    )
    return Conversation(ConversationSummary(name, questions[0], NOW, NOW + len(turns), len(turns)), turns)
