"""A conversation: the documents stay in the context between questions as long as they serve."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from beyondrag.asking import reply_room
from beyondrag.choosing import Choice, read_documents
from beyondrag.desk import Desk
from beyondrag.events import Attached, Chosen, ContextChoice, Done, Event
from beyondrag.follow_up import REMEMBERED_TURNS, EarlierTurn, Leaning, follow_up, leaning
from beyondrag.keeping import ContextWords, need
from beyondrag.placing import Placement
from beyondrag.query import Query, standing_alone
from beyondrag.retrieval import Candidate, Selection, pinned_hits
from beyondrag.turn import AskOptions, Turn, check_question
from ingest.reader import PrefixFacts
from kvfiles.errors import Cancelled
from library.errors import DocumentNotFound, LibraryError
from library.records import DocumentRecord


@dataclass(slots=True)
class Occupancy:
    """Whose documents stand in an engine's context; shared by its dialogues."""

    holder: object | None = None


@dataclass(frozen=True, slots=True)
class _Standing:
    """What stands in the context between two questions, and how it was put there."""

    placement: Placement
    words: ContextWords
    exact: bool
    repair_tokens: int

    @property
    def volumes(self) -> set[tuple[str, int]]:
        return _volumes(self.placement.choice)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What will be done for a question."""

    query: Query
    choice: Choice
    kept: bool
    why: str


class Dialogue:
    """Questions one after another, in the thread of the engine that made it.  See `Engine.dialogue`."""

    def __init__(
        self,
        desk: Desk,
        prepare: Callable[[], PrefixFacts],
        occupancy: Occupancy,
        earlier: Sequence[EarlierTurn],
        *,
        open_s: float,
    ) -> None:
        self._desk, self._prepare, self._occupancy = desk, prepare, occupancy
        self._earlier = list(earlier[-REMEMBERED_TURNS:])
        self._open_s = open_s
        self._standing: _Standing | None = None
        self._asking: object | None = None

    @property
    def placement(self) -> Placement | None:
        """The documents in the context between two questions; None when they are not of this dialogue."""
        standing = self._whole()
        return None if standing is None else standing.placement

    def forget(self) -> None:
        """Empty the context, for somebody else to use; what was said is remembered."""
        self._standing, self._asking = None, None
        if self._occupancy.holder is self:
            self._occupancy.holder = None
            self._desk.context.clear()

    def ask(
        self, question: str, options: AskOptions | None = None, cancelled: Callable[[], bool] | None = None
    ) -> Iterator[Event]:
        """Answer `question`; the first event is a `ContextChoice`, the last one `Done`.

        Raises as `Engine.ask` does; the dialogue can go on after every error, and when the caller stops
        listening.  Asking again ends the question before.
        """
        started = time.perf_counter()
        text, options = check_question(question), options or AskOptions()
        facts = self._prepare()
        turn = Turn(self._desk, options, facts, cancelled, started=started, open_s=self._open_s)
        this = self._asking = object()
        said = ""
        try:
            for event in self._answer(turn, text, options):
                if isinstance(event, Done):
                    said = event.answer.answer
                    self._finish(this, EarlierTurn(text, said))  # the listener may never come back
                yield event
        except (Cancelled, LibraryError, GeneratorExit):
            raise  # what stands in the context is as good as before
        except BaseException:
            if self._asking is this:
                self._standing = None
            raise
        finally:
            self._finish(this, EarlierTurn(text, said))

    def _answer(self, turn: Turn, text: str, options: AskOptions) -> Iterator[Event]:
        began = time.perf_counter()
        standing = self._tidied()
        plan = self._plan(turn, text, options, standing)
        turn.retrieved(began)
        nothing = not plan.choice.documents
        yield ContextChoice(plan.kept or (nothing and self._whole() is not None), plan.why)
        yield Chosen(plan.choice.documents, plan.choice.left_out)
        if nothing:
            yield turn.nothing(plan.query, plan.choice)
            return
        if plan.kept and standing is not None:
            placement = replace(standing.placement, choice=plan.choice, prefilled_tokens=0, seconds=0.0)
            yield Attached(placement.n_tokens, 0.0, placement.parts)
        else:
            placement = yield from self._place(turn, plan.choice, options)
        yield from turn.answer(plan.query, placement)

    def _place(self, turn: Turn, choice: Choice, options: AskOptions) -> Generator[Event, None, Placement]:
        self._standing, self._occupancy.holder = None, self
        placement = yield from turn.place(choice)
        words = ContextWords(read_documents(self._desk, placement.choice))
        self._standing = _Standing(placement, words, options.exact, options.repair_tokens)
        return placement

    def _finish(self, asking: object, turn: EarlierTurn) -> None:
        """End a question once: only the documents stay, and it is remembered."""
        if self._asking is not asking:
            return
        self._asking = None
        self._earlier = [*self._earlier, turn][-REMEMBERED_TURNS:]
        if self._tidied() is None:
            self.forget()

    def _whole(self) -> _Standing | None:
        """What this dialogue has put into the context, if all of it is still there."""
        standing = self._standing
        if standing is None or self._occupancy.holder is not self:
            return None
        return standing if self._desk.context.end(0) >= standing.placement.n_tokens else None

    def _tidied(self) -> _Standing | None:
        """The same, after everything behind the documents was removed."""
        standing = self._whole()
        if standing is not None:
            self._desk.context.remove(0, standing.placement.n_tokens)
        return standing

    # -------------------------------------------------------------------- deciding

    def _plan(self, turn: Turn, text: str, options: AskOptions, standing: _Standing | None) -> _Plan:
        leans = leaning(text) if self._earlier else Leaning("alone")
        query = self._query(text, follows=leans.kind != "alone")
        if pinned := turn.pinned():
            choice = turn.chooser.choose(query, pinned)
            same = standing is not None and _volumes(choice) == standing.volumes
            why = f"{'the same' if same else 'other'} documents are pinned" if self._earlier else ""
            return self._settled(turn, _Plan(query, choice, same, why), options, standing)
        if standing is None:
            why = "the documents read before no longer stand in the context" if self._earlier else ""
            return _Plan(query, turn.chooser.choose(query, ()), False, why)
        needs = need(text, leans, standing.words)
        query = self._query(text, follows=needs.follows)
        if needs.elsewhere:
            query = replace(query, search=text, about=text)
        if needs.same:
            plan = _Plan(query, standing.placement.choice, True, needs.why)
            return self._settled(turn, plan, options, standing)
        choice = turn.chooser.choose(query, ())
        found = _volumes(choice)
        if not found:
            return _Plan(query, choice, True, "no document fits the question; nothing else is read")
        if found == standing.volumes or (needs.follows and found < standing.volumes):
            why = "the search found the same documents"
            return self._settled(turn, _Plan(query, choice, True, why), options, standing)
        return _Plan(query, choice, False, needs.why or "the search found other documents")

    def _query(self, text: str, *, follows: bool) -> Query:
        if not follows:
            return standing_alone(text)
        model = self._desk.model
        return follow_up(text, self._earlier, lambda part: len(model.tokenize(part)))

    def _settled(self, turn: Turn, plan: _Plan, options: AskOptions, standing: _Standing | None) -> _Plan:
        """`plan`; when it keeps the documents, after a look at whether they can really stay as they are."""
        if not plan.kept or standing is None:
            return plan
        kept = self._as_it_stands(turn, plan.query, options, standing)
        if isinstance(kept, str):
            records = self._records(standing)
            if len(records) < len(standing.volumes):  # nothing may be answered from what was removed
                self._standing, records = None, []
            again = turn.chooser.choose(plan.query, turn.pinned() or records)
            return _Plan(plan.query, again, False, kept)
        if (options.exact, options.repair_tokens) != (standing.exact, standing.repair_tokens):
            choice = turn.chooser.described(kept.selection)
            return _Plan(plan.query, choice, False, "the same documents have to be read in another way")
        return replace(plan, choice=kept)

    def _as_it_stands(
        self, turn: Turn, query: Query, options: AskOptions, standing: _Standing
    ) -> Choice | str:
        """The documents in the context with what the search finds in them now; or why they cannot stay."""
        desk, placement = self._desk, standing.placement
        before = placement.choice.selection
        records = self._records(standing)
        n_question = turn.chooser.question_tokens(query)
        room = desk.context.n_ctx - placement.n_tokens - n_question
        if room < reply_room(len(before.candidates), options.max_tokens):
            return "the documents read before leave no room for this question"
        hits = {hit.document.id: hit for hit in pinned_hits(desk.library, query.search, records)}
        candidates = []
        for candidate in before.candidates:
            document, volume = candidate.hit.document, candidate.volume
            if document.id not in hits or volume not in desk.library.volumes(document.id, desk.profile.id):
                return f"{document.name} has changed or is gone"
            hit = hits[document.id]
            best = hit.passages[0].start if hit.passages else volume.char_start
            if not volume.char_start <= best < volume.char_end:
                return f"another part of {document.name} fits the question better"
            candidates.append(Candidate(hit, volume, candidate.n_volumes))
        choice = turn.chooser.described(Selection(tuple(candidates), before.left_out))
        documents = zip(choice.documents, placement.parts, strict=True)
        return replace(choice, documents=tuple(replace(d, read_from=part.read_from) for d, part in documents))

    def _records(self, standing: _Standing) -> list[DocumentRecord]:
        """The documents in the context, without those that have left the library."""
        records = []
        for candidate in standing.placement.choice.selection.candidates:
            try:
                records.append(self._desk.library.document(candidate.hit.document.id))
            except DocumentNotFound:
                continue
        return records


def _volumes(choice: Choice) -> set[tuple[str, int]]:
    return {(c.hit.document.id, c.volume.ordinal) for c in choice.selection.candidates}
