"""The app: modes, notices, status, theme.  What a person sees and does is in the screens.

A screen is a `NoticeScreen`; from it `self.service` asks for things and `self.shell` (this app) leads to
other screens: `show_mode`, `ask_about`, `open_conversation`, `open_source`, `open_document`, `tell`.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import ClassVar, cast

from textual import events, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter, Monochrome, NoColor
from textual.reactive import var
from textual.screen import Screen

from beyondrag.events import Source
from beyondrag.service.interface import Service
from beyondrag.service.notices import Failed, ModelMissing, Notice, Problem, Ready
from beyondrag.service.problems import problem_of
from beyondrag.tui.config import DEFAULT_THEME, TuiConfig, save_config
from beyondrag.tui.idle_collector import IdleCollector
from beyondrag.tui.inbox import Inbox
from beyondrag.tui.key_order import KeyOrder
from beyondrag.tui.messages import NoticesWaiting
from beyondrag.tui.mode_screens import mode_screens
from beyondrag.tui.modes import MODES
from beyondrag.tui.palette import LibraryCommands
from beyondrag.tui.safe_text import safe, safe_line
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.screens.ask import AskScreen
from beyondrag.tui.screens.help import HelpScreen
from beyondrag.tui.screens.source import SourceScreen
from beyondrag.tui.screens.welcome import WelcomeScreen
from beyondrag.tui.status import Status
from kvfiles.errors import BeyondragError
from library.files import storage_error

BATCH_SECONDS = 1 / 30
"""Notices are handed to the screens at most this often."""

_TOAST_SECONDS = 8
_COLLECTOR_SECONDS = 1.0

_WIDTH_CLASSES = [(0, "-narrow"), (100, "-normal"), (140, "-wide")]
"""A screen has the class of the widest that it reaches, in columns."""


class BeyondragApp(App[int]):
    """`beyondrag` without arguments.  Returns the exit code.

    The app starts the service when it is mounted and closes it at its end.
    """

    TITLE = "beyondrag"
    CSS_PATH = "app.tcss"
    HORIZONTAL_BREAKPOINTS = _WIDTH_CLASSES
    COMMANDS = App.COMMANDS | {LibraryCommands}
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(mode.number, f"show_mode('{mode.name}')", mode.title, show=False, id=f"mode.{mode.name}")
            for mode in MODES
        ),
        *(
            Binding(
                mode.key,
                f"show_mode('{mode.name}')",
                mode.title,
                show=False,
                priority=True,
                id=f"key.{mode.name}",
            )
            for mode in MODES
        ),
        Binding("f1", "help", "Help", priority=True, id="help"),
        Binding("question_mark", "help", "Help", show=False, id="help.mark"),
    ]

    status: var[Status] = var(Status())

    def __init__(
        self,
        service: Service,
        config: TuiConfig,
        screens: Callable[[], Mapping[str, NoticeScreen[None]]] = mode_screens,
    ) -> None:
        super().__init__()
        self.service = service
        self.config = config
        self.failure: Exception | None = None
        self.collector: IdleCollector | None = None
        self._inbox = Inbox(lambda: self.post_message(NoticesWaiting()))
        self._keys = KeyOrder(self, super().on_event)
        self._handed_over_at = 0.0
        self._welcomed = False
        self.missing: ModelMissing | None = None
        self.mode_screens = screens()
        for name, screen in self.mode_screens.items():
            self.install_screen(screen, name)
            self.add_mode(name, name)

    # -- life

    async def on_mount(self) -> None:
        """Show the first mode, then wake the engine."""
        self.theme = self.config.theme if self.config.theme in self.available_themes else DEFAULT_THEME
        self.watch(self, "theme", self._keep_theme, init=False)
        await self.switch_mode("ask")
        self._leave_on_signals()
        if self.collector is not None:
            self.set_interval(_COLLECTOR_SECONDS, self.collector.look)
        self.service.start(self._inbox.put)

    def _leave_on_signals(self) -> None:
        """Being told to end is like ctrl+q: the terminal and the library are left clean."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
                loop.add_signal_handler(number, partial(self.exit, return_code=128 + number))

    def _handle_exception(self, error: Exception) -> None:
        """Textual would print a traceback at the end; `run_app` gives the failure to the command line."""
        self.failure = self.failure or error
        super()._handle_exception(error)
        self._exit_renderables.clear()

    def close_service(self) -> None:
        """Stop what the service does.  Blocks until it has stopped."""
        self._inbox.close()
        self.service.close()

    # -- notices

    @property
    def has_notices_waiting(self) -> bool:
        """Whether something was said that the screens have not been given yet."""
        return self._inbox.has_waiting

    @property
    def has_keys_waiting(self) -> bool:
        """Whether a key was pressed that has not had all of its effect."""
        return self._keys.busy

    def on_notices_waiting(self) -> None:
        """Hand over now, or at the end of this batch's time."""
        wait = self._handed_over_at + BATCH_SECONDS - time.monotonic()
        if wait > 0:
            self.set_timer(wait, self._hand_over)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        self._handed_over_at = time.monotonic()
        self._touch()
        notices = self._inbox.take()
        status = self.status
        for notice in notices:
            status = status.after(notice)
        self.status = status
        for screen in self._notice_screens():
            screen.deliver(notices)
        for notice in notices:
            self._receive(notice)

    async def on_event(self, event: events.Event) -> None:
        """Keys go where they belong one after another; those that come back up have been there."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            self._touch()
            await self._keys.put(event)
        else:
            await super().on_event(event)

    async def on_unmount(self) -> None:
        """Nobody waits for keys any more."""
        self._keys.close()

    def _touch(self) -> None:
        if self.collector is not None:
            self.collector.touch()

    def _notice_screens(self) -> list[NoticeScreen[object]]:
        """All that exist: those of the modes, shown or not, and what is pushed on them."""
        screens: dict[int, NoticeScreen[object]] = {}
        pushed = [screen for stack in self._screen_stacks.values() for screen in stack]
        for screen in (*self.mode_screens.values(), *pushed):
            if isinstance(screen, NoticeScreen):
                screens[id(screen)] = screen
        return list(screens.values())

    def _receive(self, notice: Notice) -> None:
        match notice:
            case ModelMissing():
                self.missing = notice
                self._welcome_once()
            case Ready(warnings=warnings):
                self.missing = None
                self._look_at_library()
                for warning in warnings:
                    self.notify(safe(warning), severity="warning", timeout=_TOAST_SECONDS, markup=False)
            case Failed(problem) if self.current_mode != "ask":  # there it stays on the screen
                self.tell(problem)

    @work(thread=True, exclusive=True, group="first-look", exit_on_error=False)
    def _look_at_library(self) -> None:
        try:
            empty = self.service.shelf.totals().n_documents == 0
        except BeyondragError as error:
            self.call_later(self.tell, problem_of(error))
            return
        if empty:
            self.call_later(self._welcome_once)

    def _welcome_once(self) -> None:
        """By itself the welcome comes once; whoever leaves it is not sent back."""
        if not self._welcomed:
            self._welcomed = True
            self.show_welcome()

    # -- where screens lead

    def show_mode(self, name: str) -> None:
        """Go to a mode: "ask", "library", "ingest", "history", "compare"; from inside of it, to its start."""
        if name != self.current_mode:
            self.switch_mode(name)
            return
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def show_welcome(self) -> None:
        """The first steps: a model, a folder."""
        if not any(isinstance(screen, WelcomeScreen) for screen in self.screen_stack):
            self.push_screen(WelcomeScreen(self.missing))

    def action_show_mode(self, name: str) -> None:
        """The same, from a key."""
        self.show_mode(name)

    def action_help(self) -> None:
        """Every key of the screen that is shown."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def ask_about(self, document_id: str, title: str) -> None:
        """Go to ask with this document pinned, and only it read."""
        self.ask_screen.pin_only(document_id, title)
        self.show_mode("ask")

    def open_conversation(self, conversation_id: str) -> None:
        """Go to ask with a kept conversation; the next question continues it."""
        self.show_mode("ask")
        self.ask_screen.open_conversation(conversation_id)

    def open_source(self, source: Source) -> None:
        """Show a quote where it stands in its document."""
        self.open_document(source.document_id, source.title, source.start, source.end)

    def open_document(self, document_id: str, title: str, start: int = 0, end: int = 0) -> None:
        """Show a document's text at `start`, with text[start:end] marked."""
        self.push_screen(SourceScreen(document_id, title, start, end))

    def tell(self, problem: Problem) -> None:
        """Show a failure with its next step, calmly, for a while."""
        message = (
            safe(problem.message) if not problem.remedy else safe(f"{problem.message}\n{problem.remedy}")
        )
        self.notify(
            message,
            title=safe_line(problem.subject, 60),
            severity="error",
            timeout=_TOAST_SECONDS,
            markup=False,
        )

    @property
    def ask_screen(self) -> AskScreen:
        """The screen of the mode "ask"."""
        return cast(AskScreen, self.mode_screens["ask"])

    # -- palette and theme

    def get_line_filters(self) -> Sequence[LineFilter]:
        """With NO_COLOR no colour at all: Textual itself would still send greys."""
        filters = super().get_line_filters()
        return [NoColor() if isinstance(one, Monochrome) else one for one in filters]

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: the modes, then Textual's own."""
        for mode in MODES:
            yield SystemCommand(
                f"Go to {mode.title}", f"{mode.key}, or {mode.number}", partial(self.show_mode, mode.name)
            )
        yield SystemCommand("Help", "Every key", self.action_help)
        yield SystemCommand("Theme", "Choose colours; remembered", self.action_change_theme)
        yield SystemCommand("Quit", "Stop everything and leave (ctrl+q)", self.action_quit)

    def _keep_theme(self, theme: str) -> None:
        if theme != self.config.theme:
            self.config = replace(self.config, theme=theme)
            self._save(self.config)

    @work(thread=True, exclusive=True, group="config", exit_on_error=False)
    def _save(self, config: TuiConfig) -> None:
        try:
            save_config(config)
        except OSError as error:
            self.call_later(self.tell, problem_of(storage_error(error, config.path or "")))
