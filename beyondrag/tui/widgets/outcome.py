"""What a short job did, or why it failed: a few lines that stay until they are put away."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from beyondrag.service.notices import Problem
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.wording import problem_in_words

_MAX_LINES = 500


class Outcome(VerticalScroll, can_focus=False):
    """Hidden while there is nothing to say."""

    DEFAULT_CSS = """
    Outcome { height: auto; max-height: 8; display: none; border-left: thick $primary; padding: 0 1; }
    Outcome.-shown { display: block; }
    Outcome.-bad { border-left: thick $error; }
    """

    def compose(self) -> ComposeResult:
        yield Plain(id="outcome-text")

    def show(self, lines: Sequence[str]) -> None:
        """Lines of a job that ended well; what is beyond a few hundred is only counted."""
        shown = [" ".join(line.splitlines()) for line in lines[:_MAX_LINES]]
        if len(lines) > _MAX_LINES:
            shown.append(f"... and {len(lines) - _MAX_LINES:,} more")
        self._say("\n".join(shown) or "done", bad=False)

    def show_problem(self, problem: Problem) -> None:
        """A failure with its next step."""
        self._say(problem_in_words(problem), bad=True)

    def put_away(self) -> bool:
        """Hide it; whether it was there."""
        shown = self.has_class("-shown")
        self.remove_class("-shown")
        return shown

    def _say(self, text: str, *, bad: bool) -> None:
        self.query_one("#outcome-text", Plain).show(text)
        self.set_class(bad, "-bad")
        self.add_class("-shown")
        self.scroll_home(animate=False)
