"""Compare: one question, answered by whole documents, by chunk-RAG, and on request without snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Tab, Tabs

from beyondrag.service.notices import (
    Answered,
    Arm,
    AskFailed,
    ChunksChosen,
    Notice,
    Said,
    Stopped,
)
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.screens.earlier import EarlierScreen
from beyondrag.tui.widgets.arm_column import TITLES, ArmColumn
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.widgets.question_input import QuestionInput
from beyondrag.tui.widgets.source_row import SourceRow
from beyondrag.tui.widgets.toggle import Toggle
from beyondrag.tui.wording import arm_options_in_words

ARMS: tuple[Arm, ...] = ("documents", "chunks", "exact")

_LABELS: Mapping[Arm, str] = {
    "documents": "whole documents",
    "chunks": "chunk-RAG",
    "exact": "read again, slow",
}


class CompareScreen(NoticeScreen[None]):
    """The mode "compare".  Narrow terminals show one column at a time, with tabs."""

    HELP = """\
The same question to the same model: once it reads whole documents from their snapshots, once the best
chunks of the same library. Each column says what it was given, which line it copied as evidence, and
whether that line stands there. The third column reads the same documents again without their snapshots,
which is slow; above its answer stands the type of the cache it read them into (BEYONDRAG_CACHE_TYPE).

The options of the mode Ask count here too, and each column says which: pinned documents, the check and the
longest answer in all of them; how many documents in both that read whole ones; repaired tokens where
snapshots are attached. `exact` switches the third column on.
"""
    CSS = """
    CompareScreen #columns { height: 1fr; }
    CompareScreen Tabs { display: none; }
    CompareScreen.-narrow Tabs { display: block; }
    CompareScreen.-narrow .arm-title { display: none; }
    CompareScreen.-narrow ArmColumn { display: none; border-right: none; }
    CompareScreen.-narrow ArmColumn.-active { display: block; }
    CompareScreen ArmColumn.-unused { display: none; }
    CompareScreen #arms { height: 1; }
    CompareScreen #arms Toggle { width: auto; }
    CompareScreen #choices { padding: 0 2; color: $text-accent; display: none; }
    """
    AUTO_FOCUS = "QuestionInput"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop / leave the field"),
        Binding("ctrl+t", "next_column", "Next column"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._request: int | None = None
        self._asked: tuple[Arm, ...] = ARMS[:2]
        self._columns = {arm: ArmColumn(arm, id=f"arm-{arm}") for arm in ARMS}
        self._tabs = {arm: Tab(TITLES[arm], id=f"tab-{arm}") for arm in ARMS}
        self._toggles = {arm: Toggle(_LABELS[arm], arm != "exact", id=f"use-{arm}") for arm in ARMS}
        self._exact = False

    def body(self) -> ComposeResult:
        self._use(ARMS[:2])
        yield Tabs(*self._tabs.values())
        with Horizontal(id="columns"):
            yield from self._columns.values()
        yield Plain(id="choices")
        with Horizontal(id="arms"):
            yield from self._toggles.values()
        yield QuestionInput()

    # ------------------------------------------------------------------------- notices

    async def receive(self, notice: Notice) -> None:
        match notice:
            case Said(request=request, arm=arm, event=event) if request == self._request:
                await self._column(arm).happened(event)
            case ChunksChosen(request=request) if request == self._request:
                await self._column("chunks").chunks(notice)
            case Answered(request=request, arm=arm) if request == self._request:
                await self._column(arm).answered(notice)
                if arm == self._asked[-1]:
                    self._request = None
            case Stopped(request=request, partial=partial) if request == self._request:
                self._request = None
                for arm in self._asked:
                    await self._column(arm).stopped(partial)
            case AskFailed(request=request, problem=problem) if request == self._request:
                self._request = None
                for arm in self._asked:
                    await self._column(arm).failed(problem)

    def _column(self, arm: Arm) -> ArmColumn:
        return self._columns[arm]

    # ------------------------------------------------------------------------- actions

    @property
    def _arms(self) -> tuple[Arm, ...]:
        """The columns that the next question is sent to."""
        return tuple(arm for arm in ARMS if self._toggles[arm].value)

    @on(QuestionInput.Sent)
    async def _sent(self, event: QuestionInput.Sent) -> None:
        event.stop()
        if self._request is not None:
            self.notify("escape stops the comparison that runs", markup=False)
            return
        if not self._arms:
            self.notify("choose at least one column", markup=False)
            return
        self._use(self._arms)
        field = self.query_one(QuestionInput)
        field.add(event.question)
        field.put("")
        # `exact` is a column here, not an option.
        ask = self.shell.ask_screen
        options = replace(ask.options, exact=False)
        for arm in self._asked:
            words = arm_options_in_words(arm, options, ask.pinned_titles)
            await self._column(arm).begin(event.question, words)
        self._request = self.service.compare(event.question, self._asked, options)

    def on_screen_resume(self) -> None:
        """Shown again: the options of the mode Ask may be others by now."""
        ask = self.shell.ask_screen
        self.query_one(QuestionInput).let_look_back(ask.has_history)
        choices = self.query_one("#choices", Plain)
        choices.show(ask.choices)
        choices.display = bool(ask.choices)
        if ask.options.exact != self._exact:
            self._exact = ask.options.exact
            self._toggles["exact"].put(self._exact)
            self._switched()

    @on(Toggle.Changed)
    def _switched(self) -> None:
        if self._request is None and self._arms:
            self._use(self._arms)

    def _use(self, arms: tuple[Arm, ...]) -> None:
        """Show these columns."""
        self._asked = arms
        for arm in ARMS:
            self._column(arm).set_class(arm not in arms, "-unused")
            self._tabs[arm].display = arm in arms
        active = next((arm for arm in ARMS if self._column(arm).has_class("-active")), arms[0])
        if active not in arms:
            self.query_one(Tabs).active = f"tab-{arms[0]}"

    @on(Tabs.TabActivated)
    def _activated(self, event: Tabs.TabActivated) -> None:
        event.stop()
        for arm in ARMS:
            self._column(arm).set_class(event.tab.id == f"tab-{arm}", "-active")

    def action_next_column(self) -> None:
        """The next tab where there are tabs, otherwise the next column gets the keys."""
        if self.has_class("-narrow"):
            self.query_one(Tabs).action_next_tab()
            return
        columns = [self._column(arm) for arm in self._asked]
        focused = next((place for place, c in enumerate(columns) if c.has_focus_within), -1)
        columns[(focused + 1) % len(columns)].focus()

    @on(QuestionInput.EarlierWanted)
    def _look_back(self, event: QuestionInput.EarlierWanted) -> None:
        event.stop()
        self.app.push_screen(EarlierScreen(self.service.shelf, event.asked), self._take_up)

    def _take_up(self, question: str | None) -> None:
        if question is not None:
            self.query_one(QuestionInput).put(question)

    @on(QuestionInput.Scrolled)
    def _scrolled(self, event: QuestionInput.Scrolled) -> None:
        event.stop()
        for arm in self._asked:
            column = self._column(arm)
            column.scroll_relative(y=event.pages * max(column.size.height - 2, 1), animate=False)

    @on(SourceRow.Opened)
    def _open_source(self, event: SourceRow.Opened) -> None:
        event.stop()
        self.shell.open_source(event.source)

    def action_stop(self) -> None:
        """Stop the comparison; when none runs, leave the field so that the keys of the modes work."""
        if self._request is not None:
            self.service.stop(self._request)
        else:
            self.set_focus(None)
