"""One column of a comparison: what it was given, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Collapsible

from beyondrag.events import Attached, Chosen, Event, PlacedPart
from beyondrag.quantities import counted
from beyondrag.service.notices import Answered, Arm, ChunksChosen, Problem
from beyondrag.tui.safe_text import plain, safe_line
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.widgets.turn_view import TurnView
from beyondrag.tui.wording import place_in_words

TITLES: Mapping[Arm, str] = {
    "documents": "Whole documents",
    "chunks": "Chunk-RAG",
    "exact": "Whole documents, read again",
}
_ABOUT: Mapping[Arm, str] = {
    "documents": "reads the whole documents that fit, from their snapshots",
    "chunks": "reads the best chunks of the same library, prefilled for every question",
    "exact": "reads the same whole documents again, without their snapshots: slow",
}
_SUMMARY_CHARS = 100


class ArmColumn(VerticalScroll):
    """Empty until `begin`; the methods follow the service's notices."""

    DEFAULT_CSS = """
    ArmColumn { width: 1fr; height: 1fr; border-right: solid $panel; }
    ArmColumn > .arm-title { dock: top; background: $panel; padding: 0 1; height: 1; }
    ArmColumn > .arm-body { height: auto; min-height: 100%; }
    ArmColumn .arm-given {
        padding: 0 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis;
    }
    ArmColumn .arm-options { padding: 0 1; color: $text-accent; }
    ArmColumn .arm-state { padding: 0 1; color: $text-muted; }
    ArmColumn .arm-turn { height: auto; }
    ArmColumn Collapsible { display: none; margin: 0; padding: 0 1; border-top: none; }
    """

    def __init__(self, arm: Arm, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.arm = arm
        self._question = ""
        self._turn: TurnView | None = None
        self._given = ""

    def compose(self) -> ComposeResult:
        yield Plain(TITLES[self.arm], classes="arm-title title")
        with Vertical(classes="arm-body"):
            yield Plain(classes="arm-options")
            yield Plain(classes="arm-given")
            with Collapsible(title="the texts it was given", collapsed=True):
                yield Plain(classes="arm-texts")
            yield Plain(classes="arm-state")
            yield Vertical(classes="arm-turn")

    def on_mount(self) -> None:
        """Nothing was asked yet: say what will happen here."""
        self.query_one(".arm-options", Plain).display = False
        self._state(_ABOUT[self.arm])

    @property
    def turn(self) -> TurnView | None:
        """What happens to the question here; None before its turn comes."""
        return self._turn

    async def begin(self, question: str, options: str) -> None:
        """The question was sent; this column waits for its turn.  `options` say how it is asked ("": as
        usual)."""
        self._question, self._turn = question, None
        await self.query_one(".arm-turn", Vertical).remove_children()
        self.query_one(".arm-given", Plain).show("")
        asked = self.query_one(".arm-options", Plain)
        asked.show(f"asked with: {options}")
        asked.display = bool(options)
        self.query_one(Collapsible).display = False
        self._state("waits for its turn ...")
        self.anchor()  # what is being written stays in view until somebody scrolls

    async def happened(self, event: Event) -> None:
        """An event of the engine for this column."""
        turn = await self._begun()
        if isinstance(event, Chosen) and event.documents:
            tokens = sum(document.n_tokens for document in event.documents)
            given = counted(len(event.documents), "whole document")
            self._given = f"given: {given}, {counted(tokens, 'token')}"
            self.query_one(".arm-given", Plain).show(self._given)
        elif isinstance(event, Attached) and self.arm != "chunks" and event.parts:
            kinds = dict.fromkeys(_kept_as(part) for part in event.parts)
            self.query_one(".arm-given", Plain).show(f"{self._given} · {', '.join(kinds)}")
        await turn.happened(event)

    async def chunks(self, notice: ChunksChosen) -> None:
        """Which chunks this column reads."""
        await self._begun()
        n_documents = len({chunk.document_id for chunk in notice.chunks})
        heading = plain(
            f"given: {counted(len(notice.chunks), 'chunk')} of {counted(n_documents, 'document')}, "
            f"{counted(notice.n_tokens, 'token')}"
        )
        lines = [heading]
        texts = []
        for number, chunk in enumerate(notice.chunks, 1):
            place = f"{number} {place_in_words(chunk.title, chunk.page)}"
            lines.append(plain(f"{place} · score {chunk.score:.1f}: {safe_line(chunk.text, _SUMMARY_CHARS)}"))
            texts.append(plain(f"{place}\n", "bold") + plain(chunk.text))
        self.query_one(".arm-given", Plain).show(Content("\n").join(lines))
        self.query_one(".arm-texts", Plain).show(Content("\n\n").join(texts))
        self.query_one(Collapsible).display = bool(texts)

    async def answered(self, notice: Answered) -> None:
        """The answer, or that it was withheld."""
        turn = await self._begun()
        await turn.answered(notice.answer, notice.read)

    async def stopped(self, partial: str) -> None:
        """The user stopped the comparison."""
        if self._turn is None:
            self._state("stopped before its turn came")
        elif not self._turn.ended or self._turn.answer is None:
            await self._turn.stopped(partial)

    async def failed(self, problem: Problem) -> None:
        """The comparison ended in a failure."""
        if self._turn is not None and self._turn.answer is not None:
            return
        turn = await self._begun()
        await turn.failed(problem)

    async def _begun(self) -> TurnView:
        if self._turn is None:
            self._turn = TurnView(self._question, reads_chunks=self.arm == "chunks")
            self._state("")
            await self.query_one(".arm-turn", Vertical).mount(self._turn)
        return self._turn

    def _state(self, words: str) -> None:
        """What is to be said while there is no turn."""
        state = self.query_one(".arm-state", Plain)
        state.show(words)
        state.display = bool(words)


def _kept_as(part: PlacedPart) -> str:
    """How the K and V of a document are kept: the codec of its snapshot, or the type of the cache."""
    kind = safe_line(part.codec, 20)
    return f"snapshot {kind}" if part.read_from == "snapshot" else f"{kind} cache"
