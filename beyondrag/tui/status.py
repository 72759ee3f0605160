"""What the status line knows: a value that every notice may change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from beyondrag.events import Attached, PlacedPart
from beyondrag.quantities import bytes_in_words, counted, seconds_in_words
from beyondrag.service.notices import (
    Answered,
    ContextMeter,
    Failed,
    Ingested,
    IngestFailed,
    ModelMissing,
    Notice,
    Opening,
    Pulled,
    Pulling,
    Reading,
    ReadPart,
    Ready,
    Said,
    TaskFailed,
)


@dataclass(frozen=True, slots=True)
class Status:
    """What the line shows.  `engine` is "" once questions can be asked, before that what is going on.

    `attach_s`, `ttft_s` (seconds) and `tokens_per_s` are those of the last answer; None before it, and
    `attach_s` also when documents or chunks were prefilled.
    `work` is what goes on in the background, with the number of its request.
    """

    engine: str = "starting"
    model: str = ""
    n_documents: int = 0
    n_tokens: int = 0
    n_ctx: int = 0
    attach_s: float | None = None
    ttft_s: float | None = None
    tokens_per_s: float | None = None
    memory_bytes: int = 0
    work: str = ""
    work_request: int | None = None

    def after(self, notice: Notice) -> Status:
        """The status once `notice` is known."""
        after = self
        match notice:
            case Opening(model):
                after = replace(self, engine="opening", model=model)
            case ModelMissing(model=model):
                after = replace(self, engine="no model", model=model)
            case Failed():
                after = replace(self, engine="failed", work="", work_request=None)
            case Ready(model=model, n_ctx=n_ctx, memory_bytes=memory):
                after = replace(self, engine="", model=model, n_ctx=n_ctx, memory_bytes=memory)
            case ContextMeter(n_tokens, n_ctx, documents, memory):
                after = replace(
                    self, n_documents=len(documents), n_tokens=n_tokens, n_ctx=n_ctx, memory_bytes=memory
                )
            case Said(event=Attached(seconds=seconds, parts=parts)):
                after = replace(self, attach_s=seconds if _all_attached(parts) else None)
            case Answered():
                times = notice.answer.timings
                after = replace(
                    self,
                    attach_s=times.attach_s if _all_attached(notice.read.parts) else None,
                    ttft_s=times.ttft_s,
                    tokens_per_s=times.decode_tokens_per_s,
                )
            case Reading():
                after = replace(self, work=_reading(notice), work_request=notice.request)
            case Pulling():
                after = replace(self, work=_pulling(notice), work_request=notice.request)
            case Ingested() | IngestFailed() | Pulled() | TaskFailed() if notice.request == self.work_request:
                after = replace(self, work="", work_request=None)
        return after

    def parts(self) -> tuple[str, ...]:
        """In words, the most important first: a narrow terminal leaves out the last ones."""
        model = f"{self.model}: {self.engine}" if self.model and self.engine else self.model or self.engine
        parts = [model]
        if self.n_ctx:
            documents = counted(self.n_documents, "doc")
            parts.append(f"{documents} · {_thousands(self.n_tokens)}/{_thousands(self.n_ctx)} tok")
        if self.work:
            parts.append(self.work)
        if self.attach_s is not None:
            parts.append(f"kv {self.attach_s * 1000:,.0f} ms")
        if self.ttft_s is not None:
            parts.append(f"first {seconds_in_words(self.ttft_s)}")
        if self.tokens_per_s:
            parts.append(f"{self.tokens_per_s:.1f} tok/s")
        if self.memory_bytes:
            parts.append(bytes_in_words(self.memory_bytes))
        return tuple(parts)


def _all_attached(parts: Sequence[PlacedPart] | Sequence[ReadPart]) -> bool:
    """Whether nothing was prefilled: only then the time is that of attaching."""
    return all(part.read_from == "snapshot" for part in parts)


def _thousands(n: int) -> str:
    return str(n) if n < 1000 else f"{n / 1000:.1f}k"


def _reading(notice: Reading) -> str:
    share = 100 * notice.done // max(notice.total, 1)
    if notice.paused:
        return f"reading {share}% paused"
    left = f", {seconds_in_words(notice.eta_s)} left" if notice.eta_s is not None else ""
    return f"reading {share}%{left}"


def _pulling(notice: Pulling) -> str:
    if not notice.total_bytes:
        return f"download {bytes_in_words(notice.done_bytes)}"
    return f"download {100 * notice.done_bytes // notice.total_bytes}%"
