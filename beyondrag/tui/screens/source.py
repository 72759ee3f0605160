"""Check: a document's text, at the page and the line that a source names."""

from __future__ import annotations

from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from beyondrag.service.notices import Problem
from beyondrag.service.problems import problem_of
from beyondrag.tui.safe_text import safe_line
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.viewer import open_in_viewer
from beyondrag.tui.widgets.document_view import DocumentView
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.wording import path_in_words, problem_in_words
from library.records import DocumentRecord, DocumentText


class SourceScreen(NoticeScreen[None]):
    """A document with text[start:end] marked; scroll, search, open the file itself."""

    HELP = """\
The text of the document as it was read, with the quote marked.  Page numbers stand at the left where a page
starts.  `/` searches, `n` and `N` go to the next and the last match, `s` back to the quote, `o` opens the
file itself in the system's viewer.
"""
    CSS = """
    SourceScreen #title, SourceScreen #place {
        padding: 0 1; height: 1; text-wrap: nowrap; text-overflow: ellipsis;
    }
    SourceScreen #title { text-style: bold; background: $panel; }
    SourceScreen #place { color: $text-muted; }
    SourceScreen #search { border: none; height: 1; padding: 0 1; }
    SourceScreen .hidden { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "Back"),
        Binding("slash", "search", "Search"),
        Binding("n", "step(1)", "Next match", show=False),
        Binding("N,shift+n", "step(-1)", "Match before", show=False),
        Binding("s", "quote", "To the quote", show=False),
        Binding("o", "open", "Open the file"),
        Binding("a", "ask", "Ask only this"),
    ]

    def __init__(self, document_id: str, title: str, start: int = 0, end: int = 0) -> None:
        super().__init__()
        self._document_id = document_id
        self._title = title
        self._start, self._end = start, end
        self._record: DocumentRecord | None = None
        self._found = ""

    def body(self) -> ComposeResult:
        """Title, text, search field, place."""
        yield Plain(safe_line(self._title, 300), id="title")
        yield Plain(id="trouble", classes="problem hidden")
        yield DocumentView()
        yield Input(placeholder="search in this document", id="search", classes="hidden", max_length=200)
        yield Plain("opening …", id="place")

    def on_mount(self) -> None:
        """Fetch the text without keeping anything else waiting."""
        self._view.focus()
        self._fetch()

    @work(thread=True, exclusive=True, group="fetch", exit_on_error=False)
    def _fetch(self) -> None:
        try:
            shelf = self.service.shelf
            record, text = shelf.document(self._document_id), shelf.text(self._document_id)
        except Exception as error:  # whatever it is, it is told in words
            self.call_later(self._fail, problem_of(error))
            return
        self.call_later(self._came, record, text)

    def _came(self, record: DocumentRecord, text: DocumentText) -> None:
        self._record = record
        self._view.show(text, self._start, self._end)

    def _fail(self, problem: Problem) -> None:
        trouble = self.query_one("#trouble", Plain)
        trouble.show(problem_in_words(problem))
        trouble.remove_class("hidden")
        self.query_one("#place", Plain).show("")

    # -- keys

    def action_back(self) -> None:
        """Leave the search field, or the screen."""
        if self._search.has_focus:
            self._leave_search()
        else:
            self.dismiss()

    def action_search(self) -> None:
        """Type what to look for."""
        self._search.remove_class("hidden")
        self._search.focus()

    @on(Input.Submitted)
    def _look(self, message: Input.Submitted) -> None:
        self._leave_search()
        n = self._view.search(message.value)
        self._found = f"match {self._view.step(0)} of {n:,}" if n else "not found"
        self._show_place()

    def action_step(self, steps: int) -> None:
        """To another match."""
        number = self._view.step(steps)
        if number:
            self._found = f"match {number:,} of {self._view.n_matches:,}"
            self._show_place()

    def action_quote(self) -> None:
        """Back to what the source names."""
        self._view.go_to(self._start)

    def action_ask(self) -> None:
        """Ask this document and no other."""
        title = self._record.title if self._record else self._title
        self.dismiss()
        self.shell.ask_about(self._document_id, title)

    def action_open(self) -> None:
        """The file itself, in the system's viewer."""
        if self._record is not None:
            self._open(self._record.path)

    @work(thread=True, exclusive=True, group="viewer", exit_on_error=False)
    def _open(self, path: str) -> None:
        try:
            open_in_viewer(path)
        except Exception as error:  # whatever it is, it is told in words
            self.call_later(self.tell, problem_of(error))
        else:
            self.call_later(self.notify, "It is open in the system's viewer.", markup=False)

    # -- parts

    @property
    def _view(self) -> DocumentView:
        return self.query_one(DocumentView)

    @property
    def _search(self) -> Input:
        return self.query_one("#search", Input)

    def _leave_search(self) -> None:
        self._search.add_class("hidden")
        self._view.focus()

    @on(DocumentView.Moved)
    def _show_place(self) -> None:
        if self._record is None:
            return
        first, last, share = self._view.place()
        where = first if first == last else f"{first} to {last}"
        if first.startswith("p."):
            where += f" of {self._record.n_pages}"
        parts = [where, f"{share} %", self._found, path_in_words(self._record.path)]
        self.query_one("#place", Plain).show(" · ".join(part for part in parts if part))
