"""What an ingest would do and cost, before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button

from beyondrag.quantities import bytes_in_words, counted, seconds_in_words
from beyondrag.service.notices import Plan
from beyondrag.tui.safe_text import safe_line
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.widgets.problem_list import ProblemList
from beyondrag.tui.wording import path_in_words
from ingest.scan import ignored_in_words


class PlanPane(Vertical):
    """Shows a plan and asks what to do with it."""

    DEFAULT_CSS = """
    PlanPane { height: 1fr; padding: 0 1; }
    PlanPane > #plan-words { margin-bottom: 1; }
    PlanPane > Horizontal { height: auto; dock: bottom; }
    PlanPane Button { margin-right: 1; }
    PlanPane > #plan-note { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "Another folder")]

    class Decided(Message):
        """`read` True: index and read; False: only index; None: something else shall be chosen."""

        def __init__(self, plan: Plan, read: bool | None) -> None:
            super().__init__()
            self.plan, self.read = plan, read

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._plan: Plan | None = None
        self._can_read = True

    def compose(self) -> ComposeResult:
        yield Plain(id="plan-title", classes="title")
        yield Plain(id="plan-words")
        yield ProblemList(id="plan-problems")
        yield Plain(id="plan-note")
        with Horizontal():
            yield Button("Read them now", id="read", variant="primary", compact=True)
            yield Button("Only make searchable", id="index", compact=True)
            yield Button("Another folder", id="back", compact=True)

    def show(self, plan: Plan) -> None:
        """Show a plan; the cursor stands on what is most likely wanted."""
        self._plan = plan
        self.query_one("#plan-title", Plain).show(", ".join(map(path_in_words, plan.paths)))
        self.query_one("#plan-words", Plain).show("\n".join(plan_in_words(plan)))
        problems = self.query_one(ProblemList)
        problems.show(plan.problems)
        self._offer()
        self.query_one("#read" if has_work(plan) else "#back", Button).focus()

    def let_read(self, can_read: bool) -> None:
        """Whether there is a model to read with; without one reading waits for it."""
        self._can_read = can_read
        self._offer()

    def _offer(self) -> None:
        plan = self._plan
        work = plan is not None and has_work(plan)
        self.query_one("#read", Button).disabled = not work
        self.query_one("#index", Button).disabled = plan is None or not has_new(plan)
        note = ""
        if not work:
            note = "There is nothing to do."
        elif not self._can_read:
            note = "Reading begins as soon as the model is there."
        self.query_one("#plan-note", Plain).show(note)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self._decide({"read": True, "index": False}.get(event.button.id or ""))

    def action_back(self) -> None:
        self._decide(None)

    def _decide(self, read: bool | None) -> None:
        if self._plan is not None:
            self.post_message(self.Decided(self._plan, read))


def has_work(plan: Plan) -> bool:
    """Whether an ingest would change anything."""
    return plan.n_volumes > 0 or has_new(plan)


def has_new(plan: Plan) -> bool:
    """Whether there are files that the search does not know yet (or messages in files)."""
    return any(n for state, n in plan.files if state.startswith(("new", "changed", "copy")))


def plan_in_words(plan: Plan) -> list[str]:
    """The files by state, then what reading them costs."""
    counts = [f"{n:,} {state}" for state, n in plan.files if n]
    lines = ["files     " + (", ".join(counts) or "none that can be read")]
    if plan.n_volumes or plan.n_tokens:
        cost = f"{counted(plan.n_volumes, 'volume')}, {counted(plan.n_tokens, 'token')}"
        if plan.size_bytes:
            cost += f", {bytes_in_words(plan.size_bytes)} of snapshots"
        lines.append(f"to read   {cost}")
        lines.append(
            "time      "
            + (
                "not known before the first document is read"
                if plan.seconds is None
                else f"about {seconds_in_words(plan.seconds)}, once; questions are answered in between"
            )
        )
    if plan.ignored:
        lines.append("left out  " + _ignored_in_words(plan.ignored))
    if plan.problems:
        lines.append(f"problems  {counted(len(plan.problems), 'file')}")
    return lines


def _ignored_in_words(ignored: Sequence[tuple[str, int]]) -> str:
    """By which rules: "3 hidden, 1 by default, 2 by .gitignore"."""
    return ignored_in_words({safe_line(kind, 60): n for kind, n in ignored})
