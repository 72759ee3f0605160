"""What the engine says while it answers; the command line and the terminal app only listen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from library.records import Passage

ReadFrom = Literal["snapshot", "prefill"]


@dataclass(frozen=True, slots=True)
class ChosenDocument:
    """A document (or one volume of it) that the answer is read from.

    `read_from` is "snapshot" (its `.kv` file), or "prefill" when it had to be read for this question.
    """

    id: str
    path: str
    title: str
    volume: int
    label: str
    n_tokens: int
    score: float
    read_from: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A verified quote: `quote` stands verbatim in the document at text[start:end] on `page`."""

    document_id: str
    path: str
    title: str
    page: str
    quote: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds; `ttft_s` is from the question to the first token of the reply."""

    open_s: float = 0.0
    retrieve_s: float = 0.0
    attach_s: float = 0.0
    ttft_s: float = 0.0
    total_s: float = 0.0
    decode_tokens_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The result.

    `abstained` means that no verified evidence was found; `answer` is then empty unless the check was
    switched off, and `nearest` holds the passages that come closest.  `log_odds` (nats) is the second
    reading's: the answer against declining; None when there was no evidence to doubt.
    """

    question: str
    answer: str
    abstained: bool
    checked: bool
    documents: tuple[ChosenDocument, ...]
    sources: tuple[Source, ...]
    nearest: tuple[Source, ...]
    left_out: tuple[str, ...]
    timings: Timings
    prefilled_tokens: int
    log_odds: float | None = None

    def to_json(self) -> dict[str, object]:
        """Exactly the keys that `beyondrag ask --json` promises."""
        return {
            "question": self.question,
            "answer": self.answer,
            "abstained": self.abstained,
            "documents": [
                {
                    "id": d.id,
                    "path": d.path,
                    "title": d.title,
                    "tokens": d.n_tokens,
                    "score": round(d.score, 4),
                    "read_from": d.read_from,
                }
                for d in self.documents
            ],
            "sources": [{"document": s.path, "page": s.page, "quote": s.quote} for s in self.sources],
            "timings": {
                "open_s": round(self.timings.open_s, 4),
                "retrieve_s": round(self.timings.retrieve_s, 4),
                "attach_s": round(self.timings.attach_s, 4),
                "ttft_s": round(self.timings.ttft_s, 4),
                "total_s": round(self.timings.total_s, 4),
                "decode_tokens_per_s": round(self.timings.decode_tokens_per_s, 2),
            },
            "prefilled_tokens": self.prefilled_tokens,
        }


@dataclass(frozen=True, slots=True)
class ContextChoice:
    """The first event of a question in a dialogue: `kept` says that the documents of the question before
    stay in the context, `why` says in words why they do or do not ("" for a first question)."""

    kept: bool
    why: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """Retrieval is done: what will be read, and what is left out and why."""

    documents: tuple[ChosenDocument, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadingDocument:
    """A document without a snapshot is being read: `done` of `total` tokens.

    `why` tells what was wrong with the snapshot that it had, and what to do; "" when it had none.  Not
    `kept`: it is read for this question alone, and `done` and `total` count everything that is.
    """

    title: str
    done: int
    total: int
    why: str = ""
    kept: bool = True


@dataclass(frozen=True, slots=True)
class ChunkRead:
    """A chunk that is read in place of whole documents: text[start:end] of its document, on `page`."""

    document_id: str
    path: str
    title: str
    page: str
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class ChunksRead:
    """The search of chunk-RAG is done: the chunks that will be read, best first, and their tokens."""

    chunks: tuple[ChunkRead, ...]
    n_tokens: int


@dataclass(frozen=True, slots=True)
class PlacedPart:
    """A document (or chunk) at positions first .. stop-1 of the context.

    `read_from` is where its K and V come from: its snapshot, coded with `codec`, or a prefill for this
    question, kept as `codec` names the context's cache.  `bits` is the size of one K or V value.
    `hot` says that its snapshot's hot copy was attached in place of the snapshot itself.
    """

    document: ChosenDocument
    first: int
    stop: int
    read_from: ReadFrom
    codec: str
    bits: float
    hot: bool = False


@dataclass(frozen=True, slots=True)
class Attached:
    """The documents stand in the context: `n_tokens` with the prompt's prefix, which comes before `parts`.

    `seconds` is 0 when they stood there already.
    """

    n_tokens: int
    seconds: float
    parts: tuple[PlacedPart, ...] = ()


@dataclass(frozen=True, slots=True)
class EvidenceDelta:
    """More text of the line that the model copies; not yet checked."""

    text: str


@dataclass(frozen=True, slots=True)
class EvidenceChecked:
    """The copied line was compared with the documents; `source` is None when it stands in none."""

    text: str
    source: Source | None


@dataclass(frozen=True, slots=True)
class AnswerDelta:
    """More text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The end; no event follows."""

    answer: Answer


Event = (
    ContextChoice
    | Chosen
    | ChunksRead
    | ReadingDocument
    | Attached
    | EvidenceDelta
    | EvidenceChecked
    | AnswerDelta
    | Done
)
