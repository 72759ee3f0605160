"""What the model really read: what stood in its context when it answered."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from beyondrag.service.notices import WhatWasRead
from beyondrag.tui.safe_text import safe_line
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.wording import left_out_in_words, part_in_words

_COLUMNS = ("#", "document", "positions", "tokens", "from")


class WhatWasReadScreen(NoticeScreen[None]):
    """Documents in order with token ranges, codec and bits, and what did not fit."""

    HELP = """\
The context of the model, from its first position: the prompt, then the documents.  `snapshot` was loaded from
its `.kv` file, `prefill` was read for this question.  The first document stands exactly as if it had just
been read; later ones were read without the ones before them.  Enter opens a document.
"""
    CSS = """
    WhatWasReadScreen .head { padding: 1 1 0 1; }
    WhatWasReadScreen DataTable { height: 1fr; margin: 1 1 0 1; }
    WhatWasReadScreen #left { padding: 0 1; color: $text-warning; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,w", "back", "Back")]

    def __init__(self, question: str, read: WhatWasRead) -> None:
        super().__init__()
        self._question = question
        self._read = read

    def body(self) -> ComposeResult:
        """A table and words."""
        read = self._read
        used = read.prefix_tokens + sum(part.stop - part.first for part in read.parts)
        yield Plain(f"What the model read for: {safe_line(self._question, 200)}", classes="head title")
        yield Plain(
            f"{used:,} of {read.n_ctx:,} tokens: {100 * used // max(read.n_ctx, 1)} % of the context",
            classes="head muted",
        )
        yield DataTable(cursor_type="row", zebra_stripes=True)
        if read.left_out:
            yield Plain("\n".join(left_out_in_words(read.left_out)), id="left")

    def on_mount(self) -> None:
        """Fill the table; its cells are texts, never markup."""
        table: DataTable[Text] = self.query_one(DataTable)
        table.add_columns(*_COLUMNS)
        prefix = self._read.prefix_tokens
        rows: list[tuple[str, ...]] = [("", "the prompt", f"0-{max(prefix - 1, 0):,}", f"{prefix:,}", "")]
        rows += [(str(i), *part_in_words(part)) for i, part in enumerate(self._read.parts, 1)]
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        table.focus()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open the document."""
        if event.cursor_row > 0:
            part = self._read.parts[event.cursor_row - 1]
            self.shell.open_document(part.document_id, part.title)

    def action_back(self) -> None:
        """To the answer."""
        self.dismiss()
