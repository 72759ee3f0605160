"""The line at the top of every screen: where one is, and which number leads elsewhere."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from beyondrag.tui.modes import MODES


class ModeBar(Widget):
    """The areas with their numbers; the current one is marked.  A click leads there."""

    DEFAULT_CSS = """
    ModeBar { height: 1; dock: top; background: $panel; padding: 0 1; }
    """

    def render(self) -> RenderResult:
        """One line."""
        current = self.app.current_mode
        parts = [Content("beyondrag ").stylize("bold")]
        for mode in MODES:
            style = Style.from_meta({"@click": f"app.show_mode('{mode.name}')"})
            if mode.name == current:
                style += Style(bold=True, reverse=True)
            parts.append(Content.styled(f" {mode.number} {mode.title} ", style))
        return Content("").join(parts)
