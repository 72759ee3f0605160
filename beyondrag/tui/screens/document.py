"""One document: its facts, the beginning of its text, and what can be done with it."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Literal

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from beyondrag.document_state import DocumentState
from beyondrag.service.problems import problem_of
from beyondrag.snapshot_facts import f16_bytes
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.widgets.document_details import PREVIEW_CHARS, DocumentDetails

DocumentAction = Literal["text", "ask", "reread", "verify", "remove"]


class DocumentScreen(NoticeScreen[DocumentAction | None]):
    """Answers what shall be done with the document; the library does it."""

    HELP = "Everything that is known of one document, and the beginning of its text."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Back"),
        Binding("o,enter", "choose('text')", "Whole text"),
        Binding("p", "choose('ask')", "Ask this"),
        Binding("r", "choose('reread')", "Read again", show=False),
        Binding("v", "choose('verify')", "Verify"),
        Binding("d,delete", "choose('remove')", "Remove"),
    ]

    def __init__(self, state: DocumentState) -> None:
        super().__init__()
        self._state = state

    def body(self) -> ComposeResult:
        yield DocumentDetails()

    def on_mount(self) -> None:
        details = self.query_one(DocumentDetails)
        details.show(self._state)
        details.focus()
        self._load()

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_choose(self, action: DocumentAction) -> None:
        self.dismiss(action)

    @work(exclusive=True, exit_on_error=False)
    async def _load(self) -> None:
        try:
            text, f16 = await asyncio.to_thread(self._read)
        except Exception as error:
            self.tell(problem_of(error))
            return
        self.query_one(DocumentDetails).show(self._state, f16, text or "(no text)")

    def _read(self) -> tuple[str, int | None]:
        text = self.service.shelf.text(self._state.document.id).text[:PREVIEW_CHARS]
        return text, f16_bytes(self._state.snapshots)
