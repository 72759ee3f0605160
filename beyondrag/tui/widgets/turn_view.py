"""One question and everything that happened to it, as it happens."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from beyondrag.events import (
    Answer,
    AnswerDelta,
    Attached,
    Chosen,
    ChosenDocument,
    Done,
    Event,
    EvidenceChecked,
    EvidenceDelta,
    ReadingDocument,
    Source,
)
from beyondrag.service.interface import Turn, quote_sources
from beyondrag.service.notices import Asked, Problem, WhatWasRead
from beyondrag.tui.reading_pace import ReadingPace
from beyondrag.tui.safe_text import plain, safe_line
from beyondrag.tui.widgets.answer_view import AnswerView
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.widgets.source_row import SourceRow
from beyondrag.tui.wording import (
    NOT_ANSWERED,
    NOTHING_FITS,
    attached_in_words,
    chosen_in_words,
    cost_in_words,
    left_out_in_words,
    page_in_words,
    placing_in_words,
    problem_in_words,
    reading_in_words,
)

_PASSAGE_LIMIT = 160
_KEPT = "The same documents still stand in the context: nothing is loaded again."


class TurnView(Vertical):
    """Shows a turn.  The methods are called in the order of the service's notices."""

    DEFAULT_CSS = """
    TurnView { height: auto; max-width: 124; margin: 0 0 1 0; padding: 0 1; }
    TurnView .question { text-style: bold; color: $text-primary; border-left: thick $primary; padding: 0 1; }
    TurnView .sources { height: auto; }
    TurnView .reading, TurnView .evidence, TurnView .cost { color: $text-muted; padding: 0 1; }
    TurnView .verdict { padding: 0 1; }
    TurnView .verdict.-withheld { border-left: thick $warning; text-style: bold; }
    TurnView .verdict.-failed { border-left: thick $error; }
    TurnView .empty { display: none; }
    """

    def __init__(self, question: str, *, reads_chunks: bool = False) -> None:
        """`reads_chunks`: the answer of chunk-RAG, which reads its chunks for every question."""
        super().__init__()
        self.question = question
        self._reads_chunks = reads_chunks
        self.answer: Answer | None = None
        self.read: WhatWasRead | None = None
        self.ended = False
        self._facts: list[Content] = []
        self._step = "looking for documents …"
        self._checked: list[Content] = []
        self._copying = ""
        self._pace = ReadingPace()
        self._reading = Plain(classes="reading")
        self._evidence = Plain(classes="evidence empty")
        self._answer = AnswerView()
        self._verdict = Plain(classes="verdict empty")
        self._sources = Vertical(classes="sources empty")
        self._cost = Plain(classes="cost empty")

    def compose(self) -> ComposeResult:
        """All parts, most of them still empty."""
        yield Plain(self.question, classes="question")
        yield self._reading
        yield self._evidence
        self._answer.add_class("empty")
        yield self._answer
        yield self._verdict
        yield self._sources
        yield self._cost

    def on_mount(self) -> None:
        """Say what is going on from the start."""
        self._show_reading()

    # -- as it happens

    def taken_up(self, notice: Asked) -> None:
        """The engine works on it; follow-ups are told whether the documents stay."""
        why = safe_line(notice.why, 300) or (_KEPT if notice.kept else "")
        if why:
            self._facts.append(Content(f"{why[0].upper()}{why[1:]}"))
        self._show_reading()

    async def happened(self, event: Event) -> None:
        """An event of the engine."""
        match event:
            case Chosen(documents, left_out):
                self._facts += _chosen(documents, left_out)
                self._step = placing_in_words(documents)
                self._pace.begin()
                self._show_reading()
            case ReadingDocument():
                self._step = reading_in_words(event, chunks=self._reads_chunks, pace=self._pace.after(event))
                self._show_reading()
            case Attached():
                self._facts.append(Content(attached_in_words(event)))
                self._step = "reading the question …"
                self._show_reading()
            case EvidenceDelta(text):
                self._copying += text
                self._quiet_step()
                self._show_evidence()
            case EvidenceChecked(text, source):
                self._copying = ""
                self._quiet_step()
                self._checked.append(_checked(text, source))
                self._show_evidence()
            case AnswerDelta(text):
                self._quiet_step()
                self._answer.remove_class("empty")
                await self._answer.add(text)
            case Done():
                pass  # the service says Answered instead

    # -- how it ends

    async def answered(self, answer: Answer, read: WhatWasRead | None) -> None:
        """The answer, or that there is none."""
        self._end(answer, read)
        await self._answer.finish("" if answer.abstained else answer.answer)
        self._answer.set_class(answer.abstained, "empty")
        if answer.abstained:
            nearest = "\nNearest passages:" if answer.nearest else ""
            fits = NOT_ANSWERED if answer.documents else NOTHING_FITS
            self._say(f"{fits}{nearest}", "-withheld")
        elif not answer.checked:
            self._say("Unchecked: no evidence was found for this answer.", "-withheld")
        sources = quote_sources(answer)
        await self._sources.remove_children()
        await self._sources.mount_all(SourceRow(source, index + 1) for index, source in enumerate(sources))
        self._sources.set_class(not sources, "empty")
        self._show(self._cost, Content(cost_in_words(answer)))

    async def stopped(self, partial: str) -> None:
        """The user stopped it: what was written stays."""
        self._end(None, None)
        await self._answer.finish(partial)
        self._answer.set_class(not partial, "empty")
        self._say("Stopped; this was not checked." if partial else "Stopped before anything was written.", "")

    async def failed(self, problem: Problem) -> None:
        """A failure: what was written stays, the next step is said."""
        self._end(None, None)
        await self._answer.finish(self._answer.written)
        self._say(problem_in_words(problem), "-failed")

    async def show_turn(self, turn: Turn) -> None:
        """A turn of a kept conversation."""
        if turn.answer is None:
            await self.stopped(turn.partial)
            return
        self._facts = _chosen(turn.answer.documents, turn.answer.left_out)
        await self.answered(turn.answer, turn.read)

    def stopping(self) -> None:
        """Escape was pressed: nothing more is written."""
        self.ended = True
        self._step = "stopping …"
        self._show_reading()

    # -- for keys

    @property
    def sources(self) -> list[SourceRow]:
        """The rows that can be opened."""
        return list(self._sources.query(SourceRow))

    @property
    def written(self) -> str:
        """What stands there of the answer."""
        return self._answer.written

    # -- parts

    def _end(self, answer: Answer | None, read: WhatWasRead | None) -> None:
        self.answer, self.read = answer, read
        self.ended = True
        self._step = ""
        self._copying = ""
        self._show_reading()
        self._show_evidence()

    def _quiet_step(self) -> None:
        if self._step:
            self._step = ""
            self._show_reading()

    def _show_reading(self) -> None:
        lines = [*self._facts, *([Content(self._step)] if self._step else [])]
        self._show(self._reading, Content("\n").join(lines))

    def _show_evidence(self) -> None:
        lines = list(self._checked)
        if self._copying:
            lines.append(Content(f"copying evidence: “{safe_line(self._copying)}"))
        self._show(self._evidence, Content("\n").join(lines))

    def _say(self, text: str, kind: str) -> None:
        self._verdict.set_class(kind == "-withheld", "-withheld")
        self._verdict.set_class(kind == "-failed", "-failed")
        self._show(self._verdict, Content(text))

    def _show(self, widget: Plain, content: Content) -> None:
        widget.set_class(not content.plain, "empty")
        widget.show(content)


def _chosen(documents: tuple[ChosenDocument, ...], left_out: tuple[str, ...]) -> list[Content]:
    lines = []
    for number, document in enumerate(documents, 1):
        lines.append(Content(f"{number} {chosen_in_words(document)}"))
        for passage in document.passages[:1]:
            where = page_in_words(passage.page)
            words = safe_line(passage.text, _PASSAGE_LIMIT)
            lines.append(plain(f"  {where}: {words}" if where else f"  {words}", "dim"))
    return [*lines, *(Content(reason) for reason in left_out_in_words(left_out))]


def _checked(text: str, source: Source | None) -> Content:
    quote = safe_line(text, _PASSAGE_LIMIT)
    if source is None:
        return Content(f"✗ “{quote}” stands in no document").stylize("$text-warning")
    where = page_in_words(source.page)
    found = f"stands in {safe_line(source.title, 60)}{', ' + where if where else ''}"
    return Content(f"✓ “{quote}” {found}").stylize("$text-success")
