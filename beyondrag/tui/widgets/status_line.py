"""The line at the foot of every screen: model, context, speed, memory, background work."""

from __future__ import annotations

from rich.cells import cell_len
from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from beyondrag.tui.safe_text import safe_line
from beyondrag.tui.status import Status

_SEPARATOR = " · "


class StatusLine(Widget):
    """Follows the app's `status`; what does not fit into the width is left out from the end."""

    DEFAULT_CSS = """
    StatusLine {
        height: 1; dock: bottom; margin: 0 0 1 0; padding: 0 1;
        background: $panel; color: $text-muted;
    }
    """

    status: reactive[Status] = reactive(Status())

    def on_mount(self) -> None:
        """From now on show what the app knows."""
        self.watch(self.app, "status", self._follow)

    def _follow(self, status: Status) -> None:
        self.status = status

    def render(self) -> RenderResult:
        """As many parts as fit on one line."""
        width = max(self.size.width, 1)
        line = ""
        for part in self.status.parts():
            longer = f"{line}{_SEPARATOR if line else ''}{safe_line(part)}"
            if line and cell_len(longer) > width:
                break
            line = longer
        return Content(line).truncate(width, ellipsis=True)
