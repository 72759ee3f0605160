"""How questions are answered: a small panel."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.validation import Integer
from textual.widgets import Input

from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.widgets.toggle import Toggle
from beyondrag.turn import AskOptions

_NUMBERS = (
    ("top_k", "Documents to read, at most", 1, 8),
    ("repair_tokens", "Tokens to recompute at the start of the second and later documents", 0, 4096),
    ("max_tokens", "Longest answer in tokens", 1, 4096),
)


class OptionsScreen(ModalScreen[AskOptions | None]):
    """Gives the options; None when a number makes no sense and the panel was left."""

    CSS = """
    OptionsScreen { align: center middle; }
    OptionsScreen .number { height: 3; }
    OptionsScreen .number Plain.label { width: 1fr; padding: 1 1 0 0; }
    OptionsScreen .number Input { width: 14; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+t", "done", "Done", priority=True),
        Binding("enter", "done", show=False),  # on a toggle; a field sends it itself
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, options: AskOptions) -> None:
        super().__init__()
        self._options = options

    def compose(self) -> ComposeResult:
        """One line an option."""
        options = self._options
        with VerticalScroll(classes="dialog", can_focus=False):
            yield Plain("How to answer", classes="title")
            yield Toggle("Check: withhold answers without evidence", options.check, id="check")
            yield Toggle("Exact: read the documents again, slowly", options.exact, id="exact")
            for name, label, low, high in _NUMBERS:
                with Horizontal(classes="number"):
                    yield Plain(f"{label} ({low:,} to {high:,})", classes="label")
                    yield Input(
                        str(getattr(options, name)),
                        id=name,
                        restrict=r"[0-9]{0,4}",
                        validators=[Integer(low, high)],
                        select_on_focus=True,
                    )
            yield Plain("", id="said", classes="bad")
            yield Plain("Tab moves · Space switches · Enter or Escape is done", classes="muted")

    @on(Input.Submitted)
    def action_done(self) -> None:
        """Give the options unless a number is out of its range."""
        numbers: dict[str, int] = {}
        for name, label, low, high in _NUMBERS:
            text = self.query_one(f"#{name}", Input).value
            if not text or not low <= int(text) <= high:
                self.query_one("#said", Plain).show(f"{label}: from {low:,} to {high:,}.")
                self.query_one(f"#{name}", Input).focus()
                return
            numbers[name] = int(text)
        self.dismiss(
            AskOptions(
                top_k=numbers["top_k"],
                exact=self.query_one("#exact", Toggle).value,
                repair_tokens=numbers["repair_tokens"],
                check=self.query_one("#check", Toggle).value,
                max_tokens=numbers["max_tokens"],
            )
        )
