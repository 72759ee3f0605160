"""What the service tells the app, in the order in which it happens; plain data for any kind of screen.

Every notice that belongs to a request carries its number, as `Service` handed it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from beyondrag.events import Answer, Event

Arm = Literal["documents", "chunks", "exact"]
"""A column of a comparison: whole documents from snapshots, chunk-RAG, or the documents read again in f16."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A failure in words: what it concerns ("" for nothing in particular), and the next step."""

    kind: str
    message: str
    subject: str
    remedy: str


# ------------------------------------------------------------------------------- engine


@dataclass(frozen=True, slots=True)
class Opening:
    """The model is being opened."""

    model: str


@dataclass(frozen=True, slots=True)
class ModelMissing:
    """There is no model yet; `model` can be pulled if the catalogue knows it (otherwise `licence` is "")."""

    model: str
    licence: str
    size_bytes: int
    problem: Problem


@dataclass(frozen=True, slots=True)
class Ready:
    """Questions can be asked; `memory_bytes` is the resident memory of the process."""

    model: str
    codec: str
    n_ctx: int
    n_threads: int
    open_s: float
    memory_bytes: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The engine cannot go on: the model could not be opened, or the library went away."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class ContextMeter:
    """What stands in the context between two questions: tokens of the limit, and the documents' titles."""

    n_tokens: int
    n_ctx: int
    documents: tuple[str, ...]
    memory_bytes: int


# ------------------------------------------------------------------------------- asking


@dataclass(frozen=True, slots=True)
class Asked:
    """The engine took the question up.  `conversation_id` is where it will be kept.

    `kept` says that the documents of the turn before still stand in the context; `why` says in words
    why they were kept or exchanged ("" for the first question).
    """

    request: int
    conversation_id: str
    question: str
    kept: bool
    why: str


@dataclass(frozen=True, slots=True)
class ReadPart:
    """Something that stands in the context: a document at positions first .. stop-1.

    `bits` is the size of a stored value; 16 when it was prefilled.  `hot`: it was attached from the hot copy
    of its snapshot.
    """

    document_id: str
    title: str
    label: str
    first: int
    stop: int
    read_from: Literal["snapshot", "prefill"]
    codec: str
    bits: float
    hot: bool = False


@dataclass(frozen=True, slots=True)
class WhatWasRead:
    """The context behind an answer: the prompt's prefix, then `parts` in order; `left_out` in words."""

    prefix_tokens: int
    parts: tuple[ReadPart, ...]
    left_out: tuple[str, ...]
    n_ctx: int


@dataclass(frozen=True, slots=True)
class Said:
    """An event of the engine for this question (never `Done`); `arm` tells the columns apart."""

    request: int
    arm: Arm
    event: Event


@dataclass(frozen=True, slots=True)
class ChunkGiven:
    """A chunk that chunk-RAG was given: text[start:end] of the document on `page`."""

    document_id: str
    title: str
    page: str
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class ChunksChosen:
    """What the chunk-RAG column reads, best first."""

    request: int
    chunks: tuple[ChunkGiven, ...]
    n_tokens: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The end of one arm; `turn_id` is where the library keeps it ("" for a comparison)."""

    request: int
    arm: Arm
    answer: Answer
    read: WhatWasRead
    turn_id: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The user stopped it; `partial` is what had been written of the answer."""

    request: int
    partial: str
    turn_id: str


@dataclass(frozen=True, slots=True)
class AskFailed:
    """It ended in a failure; the engine goes on."""

    request: int
    problem: Problem


# ------------------------------------------------------------------------------- ingest


@dataclass(frozen=True, slots=True)
class Looking:
    """Files are being compared with the library and parsed: `done` of `total`."""

    request: int
    done: int
    total: int
    name: str


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A file that could not be read, or was read with a warning (`remedy` "" then)."""

    path: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What an ingest would do: files by state ("new", "changed", ...), and the cost of reading them.

    `seconds` is None where no rate was measured yet.  `ignored` counts the files and folders that each kind
    of rule left out ("hidden", "default", ".gitignore"); a folder counts once.
    """

    request: int
    paths: tuple[Path, ...]
    files: tuple[tuple[str, int], ...]
    problems: tuple[FileProblem, ...]
    n_volumes: int
    n_tokens: int
    size_bytes: int
    seconds: float | None
    ignored: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentAhead:
    """A document that waits to be read; `n_tokens` is an estimate until it was cut."""

    document_id: str
    name: str
    n_tokens: int


@dataclass(frozen=True, slots=True)
class ReadingAhead:
    """What an ingest is going to read, in order: the first of `n_documents`.  Told when it is known, and
    again when it has changed."""

    request: int
    documents: tuple[DocumentAhead, ...]
    n_documents: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A volume is being read: tokens of it and of the whole job, tokens/s of late, seconds left.

    While files are still looked at the whole grows, and `eta_s` is None: nobody knows how much is to come.
    """

    request: int
    document_id: str
    name: str
    index: int
    n_volumes: int
    volume_done: int
    volume_tokens: int
    done: int
    total: int
    tokens_per_s: float
    eta_s: float | None
    paused: bool


@dataclass(frozen=True, slots=True)
class VolumeRead:
    """A snapshot was kept."""

    request: int
    document_id: str
    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Ingested:
    """The end of an ingest; `cancelled` when the user stopped it (what was finished is kept)."""

    request: int
    n_indexed: int
    n_read: int
    n_tokens: int
    seconds: float
    cancelled: bool
    problems: tuple[FileProblem, ...]


@dataclass(frozen=True, slots=True)
class IngestFailed:
    """It ended in a failure; what was finished is kept."""

    request: int
    problem: Problem


# ------------------------------------------------------------------------------- others


@dataclass(frozen=True, slots=True)
class Pulling:
    """A model is being downloaded; `total_bytes` None: unknown."""

    request: int
    done_bytes: int
    total_bytes: int | None
    bytes_per_s: float
    detail: str


@dataclass(frozen=True, slots=True)
class Pulled:
    """The model is there; `Opening` and `Ready` follow."""

    request: int
    model: str


@dataclass(frozen=True, slots=True)
class LibraryChanged:
    """Documents or snapshots came or went: lists should be fetched again."""


@dataclass(frozen=True, slots=True)
class TaskDone:
    """A short job (remove, verify, read again) ended well; `lines` say what it did."""

    request: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A job (remove, verify, pull, ...) ended in a failure."""

    request: int
    problem: Problem


Notice = (
    Opening
    | ModelMissing
    | Ready
    | Failed
    | ContextMeter
    | Asked
    | Said
    | ChunksChosen
    | Answered
    | Stopped
    | AskFailed
    | Looking
    | Plan
    | ReadingAhead
    | Reading
    | VolumeRead
    | Ingested
    | IngestFailed
    | Pulling
    | Pulled
    | LibraryChanged
    | TaskDone
    | TaskFailed
)
