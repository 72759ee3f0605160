"""Keys take effect one after another, however fast they come.

Textual gives a key to the part that has the focus when the key arrives, and looks what it means only after
it has gone up through all the parts around that one.  Of keys that arrive together (over ssh, or while the
machine is busy) a later one can so go to a part that an earlier one is about to leave: after Tab and "900"
the digits are lost.  Here a key waits until the one before it has had its effect.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from textual import events
from textual.app import App
from textual.message_pump import MessagePump
from textual.widget import Widget
from textual.widgets import Input, TextArea

PATIENCE_S = 5.0
"""A part that is busy for longer does not hold up the keys."""

_STEP_S = 0.05
"""Patience is counted in steps: time in which this process did not run at all is not the part's fault."""

Pressed = events.Key | events.Paste


class KeyOrder:
    """The keys of `app` that wait.  `give` hands one over, in the app's own message loop."""

    def __init__(self, app: App[int], give: Callable[[Pressed], Awaitable[None]]) -> None:
        self._app, self._give = app, give
        self._waiting: deque[Pressed] = deque()
        self._following: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a key waits, or has not had all of its effect."""
        return self._following is not None

    async def put(self, event: Pressed) -> None:
        """Give the key over, now or when its turn comes.  Called in the app's message loop."""
        self._waiting.append(event)
        if self._following is None:
            await self._go_on()

    def close(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        if self._following is not None:
            self._following.cancel()

    async def _go_on(self) -> None:
        self._following = None
        while self._waiting and self._following is None:
            screen = self._app.screen
            if not screen.is_mounted:
                self._follow(screen)
                return
            event, target = self._waiting.popleft(), self._app.focused or screen
            await self._give(event)
            if not _is_typing(event, target):
                self._follow(target)

    def _follow(self, target: Widget) -> None:
        self._following = asyncio.create_task(self._wait(target), name="key order")

    async def _wait(self, target: Widget) -> None:
        settled = asyncio.create_task(self._settled(target), name="key settles")
        try:
            for _ in range(round(PATIENCE_S / _STEP_S)):
                done, _ = await asyncio.wait({settled}, timeout=_STEP_S)
                if done:
                    break
        finally:
            settled.cancel()
        self._app.call_later(self._go_on)

    async def _settled(self, target: Widget) -> None:
        """Once up behind the key itself, once behind what was said because of it, then the screen that is
        shown by now with what has the focus on it."""
        way_up = target.ancestors_with_self
        for _ in range(2):
            for node in way_up:
                await _passed(node)
        await _passed(self._app.screen)
        await _passed(self._app)


def _is_typing(event: Pressed, target: Widget) -> bool:
    """Whether the key only adds to a text; such keys stay in order by themselves."""
    printable = isinstance(event, events.Paste) or event.is_printable
    return printable and isinstance(target, Input | TextArea)


async def _passed(node: MessagePump) -> None:
    """Until `node` has done what waits for it now."""
    passed = asyncio.Event()
    if node.call_later(passed.set):
        await passed.wait()
