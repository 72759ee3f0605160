"""Ask: a question at the foot, above it everything that happened to it and to the ones before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from beyondrag.quantities import counted
from beyondrag.service.interface import Conversation
from beyondrag.service.notices import (
    Answered,
    Asked,
    AskFailed,
    Failed,
    LibraryChanged,
    ModelMissing,
    Notice,
    Problem,
    Ready,
    Said,
    Stopped,
    TaskFailed,
)
from beyondrag.service.problems import problem_of
from beyondrag.tui.safe_text import safe_line
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.screens.earlier import EarlierScreen
from beyondrag.tui.screens.options import OptionsScreen
from beyondrag.tui.screens.pin import Pinned, PinScreen
from beyondrag.tui.screens.what_was_read import WhatWasReadScreen
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.widgets.question_input import QuestionInput
from beyondrag.tui.widgets.source_row import SourceRow
from beyondrag.tui.widgets.transcript import MAX_TURNS_SHOWN, Transcript
from beyondrag.tui.widgets.turn_view import TurnView
from beyondrag.tui.wording import answer_as_text, options_in_words, problem_in_words
from beyondrag.turn import AskOptions

_BUSY = "The answer is still being written.  Escape stops it."


class AskScreen(NoticeScreen[None]):
    """The first mode.  One question is answered at a time."""

    HELP = """\
Type a question and press Enter.  The documents are chosen, attached and read; the model copies a line that
answers, the line is compared with the documents, and only then an answer counts.

Escape stops the answer and keeps what was written.  When nothing is being written, Escape leaves the field:
then `y` copies the answer, `Y` the answer with its sources, and the numbers 1 to 5 lead to the other areas.

`ctrl+r` looks for a question that was asked before, in this or any other conversation.
"""
    CSS = """
    AskScreen #choices { padding: 0 2; color: $text-accent; }
    AskScreen .hidden { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop_or_leave", "Stop/leave", show=False),
        Binding("ctrl+o", "sources", "Sources"),
        Binding("ctrl+l", "pin", "Pin"),
        Binding("ctrl+t", "options", "Options"),
        Binding("ctrl+g", "what_was_read", "What the model read", show=False),
        Binding("ctrl+n", "new_conversation", "New"),
        Binding("y", "copy(False)", "Copy the answer", show=False),
        Binding("Y,shift+y", "copy(True)", "Copy the answer with its sources", show=False),
        Binding("w", "what_was_read", "What the model read", show=False),
        Binding("i,slash", "type", "Type a question", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._options = AskOptions()
        self._pinned: tuple[Pinned, ...] = ()
        self._request: int | None = None
        self._turn: TurnView | None = None
        self._later: list[Callable[[], None]] = []
        self.has_history = False

    def body(self) -> ComposeResult:
        """The turns, what is chosen, the field."""
        yield Transcript()
        yield Plain(id="trouble", classes="problem hidden")
        yield Plain(id="choices", classes="hidden")
        yield QuestionInput(id="question")

    def on_mount(self) -> None:
        """Ready to type."""
        self._input.focus()
        self._describe_library()
        later, self._later = self._later, []
        for action in later:
            action()
        self._show_choices()

    # -- asking

    @on(QuestionInput.Sent)
    async def _send(self, message: QuestionInput.Sent) -> None:
        if self._request is not None:
            stopping = self._turn is not None and self._turn.ended
            self.notify("Stopping; one moment." if stopping else _BUSY, markup=False)
            return
        missing = self.shell.missing
        if missing is not None and missing.licence:  # any other may have been put back by hand
            self.shell.show_welcome()
            return
        self._input.put("")
        self._input.add(message.question)
        self.has_history = True
        self._turn = TurnView(message.question)
        await self._transcript.add(self._turn)
        self._request = self.service.ask(message.question, self.options)

    async def receive(self, notice: Notice) -> None:
        """What belongs to the question that is being answered; news of the library."""
        match notice:
            case Ready():
                self._show("#trouble", "")
                self._describe_library()
            case LibraryChanged():
                self._describe_library()
            case ModelMissing(problem=problem):
                self._show("#trouble", problem_in_words(problem))
            case Failed(problem):
                self._show("#trouble", problem_in_words(problem))
                await self._fail(problem)
            case TaskFailed(request=request, problem=problem) if request == self._request:
                self.tell(problem)  # the answer comes all the same, but it could not be kept
            case Asked() | Said() | Answered() | Stopped() | AskFailed() if notice.request == self._request:
                await self._go_on(notice)

    async def _go_on(self, notice: Asked | Said | Answered | Stopped | AskFailed) -> None:
        turn = self._turn
        assert turn is not None
        match notice:
            case Asked():
                turn.taken_up(notice)
            case Said(event=event):
                if not turn.ended:
                    await turn.happened(event)
            case Answered():
                self._request = None
                await turn.answered(notice.answer, notice.read)
            case Stopped(partial=partial):
                self._request = None
                await turn.stopped(partial)
            case AskFailed(problem=problem):
                await self._fail(problem)

    async def _fail(self, problem: Problem) -> None:
        if self._request is not None and self._turn is not None:
            self._request = None
            await self._turn.failed(problem)

    # -- keys

    def action_stop_or_leave(self) -> None:
        """Stop the answer; when there is none, leave or enter the field."""
        if self._request is not None and self._turn is not None and not self._turn.ended:
            self._turn.stopping()
            self.service.stop(self._request)
        elif self._input.has_focus:
            self._transcript.focus()
        else:
            self._input.focus()

    def action_type(self) -> None:
        """Back to the field."""
        self._input.focus()

    def action_sources(self) -> None:
        """To the sources of the last answer that has some."""
        for turn in reversed(self._transcript.turns):
            if turn.sources:
                turn.sources[0].focus()
                return
        self.notify("There are no sources yet.", markup=False)

    def action_copy(self, with_sources: bool) -> None:
        """The last answer, to the clipboard of the terminal."""
        turn = self._turn
        if turn is None or not (turn.answer or turn.written):
            self.notify("There is no answer yet.", markup=False)
            return
        text = answer_as_text(turn.answer, sources=with_sources) if turn.answer else turn.written
        self.app.copy_to_clipboard(text)
        self.notify("Copied with sources." if with_sources else "Copied.", markup=False)

    def action_what_was_read(self) -> None:
        """What stood in the context behind the last answer."""
        for turn in reversed(self._transcript.turns):
            if turn.read is not None:
                self.app.push_screen(WhatWasReadScreen(turn.question, turn.read))
                return
        self.notify("Nothing has been read yet.", markup=False)

    def action_pin(self) -> None:
        """Choose the documents by hand."""
        self.app.push_screen(PinScreen(self.service, self._pinned), self._pin)

    def action_options(self) -> None:
        """How to answer."""
        self.app.push_screen(OptionsScreen(self._options), self._choose)

    async def action_new_conversation(self) -> None:
        """The next question has no past."""
        if self._request is not None:
            self.action_stop_or_leave()
            self._request = None
        self.service.new_conversation()
        await self._clear()
        self._input.focus()

    @on(SourceRow.Opened)
    def _open(self, message: SourceRow.Opened) -> None:
        self.shell.open_source(message.source)

    @on(QuestionInput.EarlierWanted)
    def _look_back(self, message: QuestionInput.EarlierWanted) -> None:
        self.app.push_screen(EarlierScreen(self.service.shelf, message.asked), self._take_up)

    def _let_look_back(self, has_history: bool) -> None:
        self.has_history = has_history
        self._input.let_look_back(has_history)

    def _take_up(self, question: str | None) -> None:
        if question is not None:
            self._input.put(question)

    @on(QuestionInput.Scrolled)
    def _scroll(self, message: QuestionInput.Scrolled) -> None:
        if message.pages < 0:
            self._transcript.scroll_page_up(animate=False)
        else:
            self._transcript.scroll_page_down(animate=False)

    # -- for and from other screens

    @property
    def options(self) -> AskOptions:
        """How the next question is answered, with the pinned documents."""
        return replace(self._options, documents=tuple(pinned.document_id for pinned in self._pinned))

    @property
    def choices(self) -> str:
        """The same in words; "" when nothing differs from the usual."""
        return options_in_words(self._options, self.pinned_titles)

    @property
    def pinned_titles(self) -> tuple[str, ...]:
        """What the next question is read from; () when the search chooses."""
        return tuple(pinned.title for pinned in self._pinned)

    def pin_only(self, document_id: str, title: str) -> None:
        """Read this document and no other for the next questions."""
        self._pin((Pinned(document_id, title),))

    def open_conversation(self, conversation_id: str) -> None:
        """Show a kept conversation; the next question continues it."""
        self._when_mounted(partial(self._open_kept, conversation_id))

    def _open_kept(self, conversation_id: str) -> None:
        self._fetch(conversation_id)

    def ask(self, question: str) -> None:
        """Put a question into the field, for example a past one."""
        self._when_mounted(lambda: self._input.put(question))

    # -- parts

    @property
    def _transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def _input(self) -> QuestionInput:
        return self.query_one(QuestionInput)

    def _when_mounted(self, action: Callable[[], None]) -> None:
        if self.is_mounted:
            action()
        else:
            self._later.append(action)

    def _pin(self, pinned: tuple[Pinned, ...] | None) -> None:
        if pinned is not None:
            self._pinned = pinned
            self._when_mounted(self._show_choices)

    def _choose(self, options: AskOptions | None) -> None:
        if options is not None:
            self._options = options
            self._show_choices()

    def _show_choices(self) -> None:
        self._show("#choices", self.choices)

    def _show(self, selector: str, words: str) -> None:
        """Lines above the field; without words they take no room."""
        line = self.query_one(selector, Plain)
        line.set_class(not words, "hidden")
        line.show(words)

    async def _clear(self) -> None:
        self._turn = None
        await self._transcript.clear()
        self._describe_library()

    @work(thread=True, exclusive=True, group="describe", exit_on_error=False)
    def _describe_library(self) -> None:
        try:
            n_documents = self.service.shelf.totals().n_documents
            words = (
                f"{counted(n_documents, 'document')} to ask.  f1 shows every key."
                if n_documents
                else "Nothing has been read yet: f4 leads to a folder."
            )
            self.call_later(self._let_look_back, bool(self.service.shelf.conversations("", 1)))
        except Exception as error:  # whatever it is, it is told in words
            problem = problem_of(error)
            words = f"{safe_line(problem.message)}  {safe_line(problem.remedy)}"
        self.call_later(self._transcript.hint, words)

    @work(thread=True, exclusive=True, group="conversation", exit_on_error=False)
    def _fetch(self, conversation_id: str) -> None:
        try:
            conversation = self.service.shelf.conversation(conversation_id)
        except Exception as error:  # whatever it is, it is told in words
            self.call_later(self.tell, problem_of(error))
            return
        self.call_later(self._reopen, conversation)

    async def _reopen(self, conversation: Conversation) -> None:
        if self._request is not None:
            self.notify(_BUSY, markup=False)
            return
        self.service.open_conversation(conversation.summary.id)
        await self._clear()
        for turn in conversation.turns[-MAX_TURNS_SHOWN:]:
            self._turn = TurnView(turn.question)
            await self._transcript.add(self._turn)
            await self._turn.show_turn(turn)
        self._input.remember([turn.question for turn in conversation.turns])
        self._input.focus()
