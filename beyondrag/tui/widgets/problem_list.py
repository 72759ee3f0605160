"""Files that could not be read, or only with a warning: which, why, and what helps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from textual.app import ComposeResult
from textual.containers import Vertical

from beyondrag.service.notices import FileProblem
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.widgets.rows_view import Column, Row, RowsView
from beyondrag.tui.wording import path_in_words

_COLUMNS = (
    Column("file", "file", 28),
    Column("reason", "why", 0, toned=True),
)


class ProblemList(Vertical):
    """A row for each file; below it everything about the one under the cursor.  Hidden while empty."""

    DEFAULT_CSS = """
    ProblemList { height: 1fr; min-height: 4; }
    ProblemList > RowsView { height: 1fr; min-height: 2; }
    ProblemList > Plain { height: auto; max-height: 5; color: $text-muted; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._problems: dict[str, FileProblem] = {}

    def compose(self) -> ComposeResult:
        yield RowsView(_COLUMNS)
        yield Plain()

    def on_mount(self) -> None:
        self.display = False

    def show(self, problems: Sequence[FileProblem]) -> None:
        """Show these and no others."""
        self._problems = {str(place): problem for place, problem in enumerate(problems)}
        rows = [
            Row(
                key,
                (PurePath(problem.path).name or problem.path, problem.reason),
                "bad" if problem.remedy else "warn",
            )
            for key, problem in self._problems.items()
        ]
        self.display = bool(rows)
        table = self.query_one(RowsView)
        table.show_rows(rows)
        self._explain(table.cursor_key)

    def on_rows_view_highlighted(self, event: RowsView.Highlighted) -> None:
        event.stop()
        self._explain(event.key)

    def _explain(self, key: str | None) -> None:
        problem = self._problems.get(key or "")
        words = ""
        if problem is not None:
            lines = [
                path_in_words(problem.path),
                *([f"try: {problem.remedy}"] if problem.remedy else []),
                problem.reason,
            ]
            words = "\n".join(lines)
        self.query_one(Plain).show(words)
