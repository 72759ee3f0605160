"""Help: what the screen is for and every key that works on it."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen

from beyondrag.tui.widgets.answer_view import AnswerView
from beyondrag.tui.widgets.plain import Plain

_KEY_WIDTH = 20


class HelpScreen(ModalScreen[None]):
    """The keys of the screen below it, those of the focused part first."""

    CSS = """
    HelpScreen { align: center middle; }
    HelpScreen .dialog { height: 90%; }
    HelpScreen .keys { padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1,question_mark", "close", "Close", priority=True)
    ]

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__()
        self._words = getattr(screen, "HELP", None) or ""
        self._groups = key_groups(screen)

    def compose(self) -> ComposeResult:
        """Words, then one group of keys after the other."""
        with VerticalScroll(classes="dialog"):
            if self._words:
                yield AnswerView(self._words)
            for title, keys in self._groups:
                yield Plain(title, classes="title")
                lines = [f"{key:<{_KEY_WIDTH}} {what}" for key, what in keys]
                yield Plain(Content("\n".join(lines)), classes="keys")
            yield Plain("Escape closes this.", classes="muted")

    def on_mount(self) -> None:
        """Arrow keys scroll at once."""
        self.query_one(VerticalScroll).focus()

    def action_close(self) -> None:
        """Back."""
        self.dismiss()


def key_groups(screen: Screen[Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(title, [(keys, what they do)]) for the app, the screen and what has the focus, without doubles."""
    titles = {"screen": "On this screen", "app": "Everywhere", "part": "Where you are"}
    groups: dict[str, dict[str, list[str]]] = {kind: {} for kind in titles}
    for active in screen.active_bindings.values():
        kind = "app" if isinstance(active.node, App) else "screen" if active.node is screen else "part"
        if active.binding.description and not active.binding.system:
            keys = groups[kind].setdefault(active.binding.description, [])
            shown = screen.app.get_key_display(active.binding)
            if shown not in keys:
                keys.append(shown)
    return [
        (titles[kind], [(", ".join(keys), what) for what, keys in groups[kind].items()])
        for kind in titles
        if groups[kind]
    ]
