"""What travels inside the app, beside Textual's own messages."""

from __future__ import annotations

from collections.abc import Sequence

from textual.message import Message

from beyondrag.service.notices import Notice


class NoticesWaiting(Message, bubble=False):
    """To the app, from any thread: the inbox is no longer empty."""


class NoticesCame(Message, bubble=False):
    """To a screen: notices in the order in which they happened."""

    def __init__(self, notices: Sequence[Notice]) -> None:
        super().__init__()
        self.notices = tuple(notices)
