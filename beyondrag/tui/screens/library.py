"""Library: every document with what it costs, and what can be done with it."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from beyondrag.document_state import DocumentState
from beyondrag.quantities import bytes_in_words
from beyondrag.service.interface import SortKey
from beyondrag.service.notices import (
    Ingested,
    IngestFailed,
    LibraryChanged,
    Looking,
    Notice,
    Ready,
    TaskDone,
    TaskFailed,
)
from beyondrag.service.problems import problem_of
from beyondrag.snapshot_facts import f16_bytes
from beyondrag.tui.document_listing import Listing, around, look_up
from beyondrag.tui.list_screen import TYPING_S, ListScreen
from beyondrag.tui.screens.confirm import ChoiceScreen, ConfirmScreen
from beyondrag.tui.screens.document import DocumentAction, DocumentScreen
from beyondrag.tui.screens.failures import FailuresScreen
from beyondrag.tui.widgets.document_details import PREVIEW_CHARS, DocumentDetails
from beyondrag.tui.widgets.document_table import (
    SORT_KEYS,
    DocumentTable,
    document_row,
    selection_in_words,
    statistics_in_words,
)
from beyondrag.tui.widgets.rows_view import RowsView
from beyondrag.tui.wording import path_in_words
from library.listing import Listed

_SCROLLING_S = 0.03

_CHANGES_S = 1.0
"""While documents come in the list is fetched at most this often."""


class LibraryScreen(ListScreen):
    """The mode "library"."""

    HELP = """\
Every document of the library: its pages, tokens, the size and codec of its snapshot, and its state.

**ready** read, can be asked at once · **indexed** searchable, read when first needed · **stale** read for
another model or setting · **missing** its file is gone, it can still be asked about.
"""
    CSS = """
    LibraryScreen #details { width: 45%; border-left: solid $panel; display: none; }
    LibraryScreen.-normal #details, LibraryScreen.-wide #details { display: block; }
    """
    SEARCH = "filter by title or path"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Filter"),
        Binding("s", "sort", "Sort"),
        Binding("S", "reverse", "Reverse", show=False),
        Binding("a", "add", "Add"),
        Binding("o", "act('text')", "Text", show=False),
        Binding("p", "act('ask')", "Ask"),
        Binding("r", "act('reread')", "Read again", show=False),
        Binding("v", "act('verify')", "Verify"),
        Binding("V", "verify_all", "Verify all", show=False),
        Binding("f", "failures", "Files that could not be read", show=False),
        Binding("d,delete", "act('remove')", "Remove"),
        Binding("escape", "back", "Back", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._states: dict[str, DocumentState] = {}
        self._sort: SortKey = "added"
        self._descending = False
        self._listed = Listed((), 0)
        self._waiting = False
        self._tasks: dict[int, str] = {}

    def parts(self) -> ComposeResult:
        yield DocumentTable(id="documents")
        yield DocumentDetails(id="details")

    # ------------------------------------------------------------------------- notices

    async def receive(self, notice: Notice) -> None:
        match notice:
            case LibraryChanged() | Ready():
                self.stale = True
                if self.is_current and not self._waiting:
                    self._waiting = True
                    self.set_timer(_CHANGES_S, self._changed)
            case Looking(request, done, total) if request in self._tasks and total:
                self.outcome.show([f"{self._tasks[request]}: {done:,} of {total:,}"])
            case TaskDone(request, lines) if request in self._tasks:
                doing = self._tasks.pop(request)
                self.outcome.show([f"{doing}: done", *lines])
            case Ingested(request=request) if request in self._tasks:
                doing = self._tasks.pop(request)
                lines = tuple(problem.reason for problem in notice.problems)
                self.outcome.show([f"{doing}: {'stopped' if notice.cancelled else 'done'}", *lines])
            case TaskFailed(request, problem) | IngestFailed(request, problem) if request in self._tasks:
                self._tasks.pop(request)
                self.outcome.show_problem(problem)

    def _changed(self) -> None:
        self._waiting = False
        if self.stale and self.is_current:
            self.fetch()

    # ---------------------------------------------------------------------------- list

    async def look_up(self, contains: str) -> None:
        viewed = self.query_one(DocumentTable).viewed
        listing = await asyncio.to_thread(
            look_up, self.service.shelf, contains, self._sort, self._descending, viewed
        )
        self._show(listing, contains)

    def _show(self, listing: Listing, contains: str) -> None:
        self._listed = listing.listed
        self._states = {state.document.id: state for state in listing.known}
        table = self.query_one(DocumentTable)
        before = table.cursor_key
        table.mark_order(self._sort, self._descending)
        table.show_rows(listing.rows)
        selection = selection_in_words(listing.listed, listing.statistics.n_documents)
        self.show_count(
            len(listing.rows),
            " · ".join([selection, *statistics_in_words(listing.statistics)]),
            f"No title and no path contains “{contains}”.\nescape shows all documents again"
            if contains
            else "The library is empty.\n\na  adds a folder: you see what it costs before it starts",
        )
        if table.cursor_key == before:  # otherwise the table says so itself
            self._preview(before)

    @on(RowsView.Viewed, "#documents")
    def _viewed(self, event: RowsView.Viewed) -> None:
        if any(
            document_id not in self._states for document_id in self._listed.ids[event.first : event.after]
        ):
            self._fetch_rows(self._listed, (event.first, event.after))

    @work(exclusive=True, group="rows", exit_on_error=False)
    async def _fetch_rows(self, listed: Listed, viewed: tuple[int, int]) -> None:
        """The rows around those that came into view; without them the table shows that they are there."""
        await asyncio.sleep(_SCROLLING_S)  # somebody may be scrolling on
        try:
            known = await asyncio.to_thread(self.service.shelf.states_of, around(listed, viewed))
        except Exception as error:
            self.outcome.show_problem(problem_of(error))
            return
        if listed is not self._listed:
            return
        table = self.query_one(DocumentTable)
        for state in known:
            self._states[state.document.id] = state
            table.update_row(document_row(state))
        if table.cursor_key in {state.document.id for state in known}:
            self._preview(table.cursor_key)

    @on(RowsView.HeaderClicked, "#documents")
    def _sort_by(self, event: RowsView.HeaderClicked) -> None:
        for key in SORT_KEYS:
            if key == event.column:
                self._descending = not self._descending if key == self._sort else False
                self._sort = key
                self.fetch()

    # ------------------------------------------------------------------------- details

    @on(RowsView.Highlighted, "#documents")
    def _highlighted(self, event: RowsView.Highlighted) -> None:
        self._preview(event.key)

    @work(exclusive=True, group="preview", exit_on_error=False)
    async def _preview(self, key: str | None) -> None:
        details = self.query_one(DocumentDetails)
        state = self._states.get(key) if key is not None else None
        if not details.display:
            return
        details.show(state)
        if state is None:
            return
        await asyncio.sleep(TYPING_S)  # the cursor may be moving on
        try:
            text, f16 = await asyncio.to_thread(self._read_preview, state)
        except Exception as error:
            text, f16 = problem_of(error).message, None
        details.show(state, f16, text or "(no text)")

    def _read_preview(self, state: DocumentState) -> tuple[str, int | None]:
        text = self.service.shelf.text(state.document.id).text[:PREVIEW_CHARS]
        return text, f16_bytes(state.snapshots)

    @on(RowsView.Opened, "#documents")
    def _opened(self, event: RowsView.Opened) -> None:
        state = self._states.get(event.key)
        if state is not None:
            self.app.push_screen(DocumentScreen(state), lambda action: self._do(action, state))

    # ------------------------------------------------------------------------- actions

    def action_act(self, action: DocumentAction) -> None:
        key = self.query_one(DocumentTable).cursor_key
        if key is not None and key in self._states:
            self._do(action, self._states[key])

    def _do(self, action: DocumentAction | None, state: DocumentState) -> None:
        document = state.document
        match action:
            case "text":
                self.shell.open_document(document.id, document.title)
            case "ask":
                self.shell.ask_about(document.id, document.title)
            case "verify":
                self._begin(self.service.verify([document.id]), f"verify {document.name}")
            case "reread":
                cost = "" if state.n_tokens is None else f"{state.n_tokens:,} tokens are read once more. "
                self.app.push_screen(
                    ConfirmScreen(f"Read {document.title} again?", f"{cost}Its snapshot is dropped.", "Read"),
                    lambda yes: self._reread(state) if yes else None,
                )
            case "remove":
                self.app.push_screen(
                    ConfirmScreen(
                        f"Remove {document.title} from the library?",
                        f"Its text and snapshot are deleted ({bytes_in_words(state.snapshot_bytes)}); "
                        f"the file itself stays: {path_in_words(document.path)}",
                        "Remove",
                    ),
                    lambda yes: self._remove(state) if yes else None,
                )

    def _remove(self, state: DocumentState) -> None:
        self._begin(self.service.remove([state.document.id]), f"remove {state.document.name}")

    def _reread(self, state: DocumentState) -> None:
        doing = f"read {state.document.name} again"
        self._begin(self.service.reread([state.document.id]), doing, "Ingest (f4) shows how far it is")

    def action_verify_all(self) -> None:
        self.app.push_screen(
            ChoiceScreen(
                "Verify the whole library?",
                "Texts, catalogue and search index are checked. Snapshots: quick looks whether the files are "
                "there with the right size, deep reads all of them and compares checksums.",
                {"quick": "Quick (q)", "deep": "Deep (d)"},
            ),
            self._verify_all,
        )

    def _verify_all(self, choice: str | None) -> None:
        if choice is not None:
            deep = choice == "deep"
            self._begin(self.service.verify(deep=deep), f"verify everything{', deep' if deep else ''}")

    def action_failures(self) -> None:
        self.app.push_screen(FailuresScreen())

    def _begin(self, request: int, doing: str, hint: str = "") -> None:
        self._tasks[request] = doing
        self.outcome.show([f"{doing} ...", *([hint] if hint else [])])

    def action_add(self) -> None:
        self.shell.show_mode("ingest")

    def action_sort(self) -> None:
        place = SORT_KEYS.index(self._sort)
        self._sort = SORT_KEYS[(place + 1) % len(SORT_KEYS)]
        self._descending = False
        self.fetch()

    def action_reverse(self) -> None:
        self._descending = not self._descending
        self.fetch()
