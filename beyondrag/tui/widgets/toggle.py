"""A choice between yes and no that reads the same without colours."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from beyondrag.tui.widgets.plain import Plain


class Toggle(Plain, can_focus=True):
    """ "[x] label" or "[ ] label"; Space or a click switches."""

    DEFAULT_CSS = """
    Toggle { height: auto; padding: 0 1; }
    Toggle:focus { background: $primary 30%; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "switch", "Switch")]

    class Changed(Message):
        """A person switched it."""

        def __init__(self, toggle: Toggle) -> None:
            super().__init__()
            self.toggle = toggle

        @property
        def control(self) -> Toggle:
            return self.toggle

    def __init__(self, label: str, value: bool, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__("", id=id)
        self._label = label
        self.value = value

    def on_mount(self) -> None:
        """Show the value."""
        self._draw()

    def put(self, value: bool) -> None:
        """Set it; nobody is told."""
        self.value = value
        self._draw()

    def action_switch(self) -> None:
        """From a key."""
        self.put(not self.value)
        self.post_message(self.Changed(self))

    def on_click(self) -> None:
        """From a mouse."""
        self.action_switch()

    def _draw(self) -> None:
        self.show(f"[{'x' if self.value else ' '}] {self._label}")
