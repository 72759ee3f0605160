"""From statements to kept questions: draft, check, examine, write down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from eval.make_questions.attempts import Attempt, Role, attempt_key
from eval.make_questions.checks import Draft, Refusal, tidy
from eval.make_questions.collection import Collection
from eval.make_questions.facts import Fact, drawn_documents, in_turn
from eval.make_questions.gate import Examines, Gate
from eval.make_questions.question_file import ID_PREFIX, QuestionFile, null_row, single_row
from eval.rowfile import RowFile
from eval.sets import NULL
from kvfiles.errors import Cancelled, ContextOverflow

MIN_DOCUMENTS_TO_HIDE = 3
HIDDEN_SHARE = 0.15
"""Of the documents, at most, for questions that nothing answers: what is hidden cannot be asked about."""


class Writes(Protocol):
    """See `writer.Writer`."""

    def draft(self, title: str, passage: str, statement: str) -> tuple[str, str]: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How many questions of each role, the seed of the draw, and statements to try for each question."""

    n: dict[Role, int]
    seed: int
    tries: int


@dataclass(slots=True)
class Tally:
    """What has been tried in this run and in earlier ones, by role: kept, and refused for what."""

    kept: Counter[Role] = field(default_factory=Counter)
    refused: dict[Role, Counter[Refusal]] = field(
        default_factory=lambda: {"single": Counter(), "null": Counter()}
    )

    def tried(self, role: Role) -> int:
        return self.kept[role] + self.refused[role].total()


def hidden_documents(collection: Collection, file: QuestionFile, n_null: int, seed: int) -> list[str]:
    """What may be hidden: the documents that the file hides, then drawn ones that it does not ask about.

    Raises SetError when the file names documents that are not there.
    """
    hidden = {d for q in file.questions for name in q.hidden for d in collection.named(name, subject=q.id)}
    gold = {d for q in file.questions for name in q.gold_docs for d in collection.named(name, subject=q.id)}
    if not n_null or len(collection.ids) < MIN_DOCUMENTS_TO_HIDE:
        return sorted(hidden)
    wanted = min(n_null, max(1, int(HIDDEN_SHARE * len(collection.ids))))
    drawn = [one for one in drawn_documents(collection.ids, seed, "hidden") if one not in hidden | gold]
    return [*sorted(hidden), *islice(drawn, max(0, wanted - len(hidden)))]


class Drafting:
    """Drafts until there are as many questions as planned, or nothing is left to try."""

    def __init__(
        self,
        collection: Collection,
        writer: Writes,
        examiner: Examines,
        file: QuestionFile,
        attempts: RowFile[Attempt],
        model_sha256: str,
    ) -> None:
        self._collection, self._writer = collection, writer
        self._file, self._attempts, self._model = file, attempts, model_sha256
        self._gate = Gate(collection, examiner, [question.question for question in file.questions])
        self.tally = Tally()

    def run(
        self,
        plan: Plan,
        hidden: Sequence[str],
        on_try: Callable[[str, Attempt | None], None],
        cancelled: Callable[[], bool],
    ) -> None:
        """Fill the file; what is kept is on the disk at once.

        `on_try` is told the title of the document before and after a try, and then what became of it.
        Raises Cancelled, model and storage errors.
        """
        queues = self._queues(plan, hidden)
        while queues:
            role = min(queues, key=lambda one: self._count(one) / plan.n[one])
            fact = next(queues[role], None)
            if fact is None or self._count(role) >= plan.n[role]:
                del queues[role]
                continue
            if cancelled():
                raise Cancelled("stopped", remedy="the same command goes on where this one stopped")
            title = self._collection.document(fact.document_id).title
            on_try(title, None)
            on_try(title, self._try(fact, role))

    def _queues(self, plan: Plan, hidden: Sequence[str]) -> dict[Role, Iterator[Fact]]:
        documents: dict[Role, list[str]] = {
            "single": [one for one in self._collection.ids if one not in hidden],
            "null": list(hidden),
        }
        queues: dict[Role, Iterator[Fact]] = {}
        for role, ids in documents.items():
            most = plan.n[role] * plan.tries
            if most and ids:
                drawn = drawn_documents(ids, plan.seed, role)[:most]
                queues[role] = islice(in_turn(map(self._collection.facts, drawn), plan.seed), most)
        return queues

    def _count(self, role: Role) -> int:
        return self._file.count(null=role == NULL)

    def _try(self, fact: Fact, role: Role) -> Attempt:
        key = attempt_key(self._model, fact, role)
        attempt = self._attempts.rows.get(key)
        if attempt is None and self._file.holds(ID_PREFIX + fact.key):  # its attempt was lost in a crash
            attempt = Attempt(key, role, "", None)
        if attempt is None:
            try:
                attempt = self._attempt(key, fact, role)
            except ContextOverflow:
                attempt = Attempt(key, role, "", Refusal.TOO_LONG)
            self._attempts.add(attempt)
        if attempt.refused is None:
            self.tally.kept[role] += 1
        else:
            self.tally.refused[role][attempt.refused] += 1
        return attempt

    def _attempt(self, key: str, fact: Fact, role: Role) -> Attempt:
        text = self._collection.text(fact.document_id)
        title, passage = self._collection.document(fact.document_id).title, self._collection.passage(fact)
        question, answer = self._writer.draft(title, passage, fact.said)
        written = f"{question} | {answer}"
        draft = tidy(question, answer, fact.said)
        found = draft if isinstance(draft, Refusal) else self._gate.refusal(draft, fact, hidden=role == NULL)
        if found is None and isinstance(draft, Draft):
            place = {"page": text.page_at(fact.start).label, "quote": fact.said}
            names = self._collection.names(fact.document_id)
            row = (
                single_row(fact.key, draft.question, draft.answer, names[0], place)
                if role == "single"
                else null_row(fact.key, draft.question, draft.answer, names, place)
            )
            self._file.append(row)
            self._gate.note(draft.question)
        return Attempt(key, role, written, found)
