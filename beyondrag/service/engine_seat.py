"""The real seat: `Engine` with its library object, as the engine thread uses them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

from beyondrag.dialogue import Dialogue
from beyondrag.engine import Engine
from beyondrag.engine_reading import EngineReading
from beyondrag.events import Answer, Event
from beyondrag.models import ModelStore
from beyondrag.reading import reading_profile
from beyondrag.service.door import Door, OpenLibrary
from beyondrag.service.history import History
from beyondrag.service.inbox import Conversing, Question
from beyondrag.service.notices import Arm, WhatWasRead
from beyondrag.service.seat import SeatFacts, model_in_words
from beyondrag.settings import Settings
from kvfiles.errors import BeyondragError
from kvfiles.runtime.context import SLICE_TOKENS

_LOG = logging.getLogger(__name__)

FIXED_POSITION = (
    "snapshots of this model work only as the first document; others are read again for each question"
)


def open_engine_seat(settings: Settings, door: Door) -> EngineSeat:
    """Open library and model.  Raises ModelNotFound, model, library and storage errors."""
    with ExitStack() as opened:
        library = door.open()
        opened.callback(library.close)
        relay = _Relay()
        engine = opened.enter_context(Engine(settings, library.library, on_reading=relay))
        facts = engine.prepare()
        warnings = engine.warnings if facts.relocatable else (*engine.warnings, FIXED_POSITION)
        return EngineSeat(engine, library, relay, warnings, opened.pop_all())


def known_profile(settings: Settings) -> str | None:
    """The id of the configured model's profile if its hash is known already; None otherwise, at once."""
    try:
        store = ModelStore(settings.models)
        path = store.resolve(settings.model)
        model = store.describe(path)
    except BeyondragError:
        return None
    return reading_profile(path, model.sha256, settings.codec).id if model and model.sha256 else None


class _Relay:
    """Hands events on to whoever listens at the moment."""

    def __init__(self) -> None:
        self.listener: Callable[[Event], None] | None = None

    def __call__(self, event: Event) -> None:
        if self.listener is not None:
            self.listener(event)


class EngineSeat:
    """Implements `seat.Seat`."""

    def __init__(
        self,
        engine: Engine,
        library: OpenLibrary,
        relay: _Relay,
        warnings: tuple[str, ...],
        opened: ExitStack,
    ) -> None:
        self._relay = relay
        self._engine, self._open_library, self._opened = engine, library, opened
        self._reading = EngineReading(library.library, engine.profile.id, lambda: engine, SLICE_TOKENS)
        settings = engine.settings
        self._facts = SeatFacts(
            model_in_words(settings.model),
            settings.codec,
            engine.context.n_ctx,
            settings.threads,
            engine.open_s,
            engine.profile.id,
            warnings,
        )
        self._history = History(library.library)
        self._conversing: Conversing | None = None
        self._dialogue: Dialogue | None = None

    @property
    def facts(self) -> SeatFacts:
        """What was opened."""
        return self._facts

    def require_library(self) -> None:
        """Raise LibraryGone unless the library is still in its place."""
        self._open_library.require()

    def close(self) -> None:
        """Free model and context, close the library.  Closing twice is harmless."""
        self._opened.close()

    # -------------------------------------------------------------------- asking

    def converse(self, question: Question, cancelled: Callable[[], bool]) -> Iterator[Event]:
        """Answer in the question's conversation: `ContextChoice` first, `Done` last."""
        dialogue = self._dialogue_of(question.conversing)
        return dialogue.ask(question.text, question.options, cancelled)

    def report_to(self, listener: Callable[[Event], None] | None) -> None:
        """Between two events tell `listener` how far a document is that is read for the question."""
        self._relay.listener = listener

    def answer(self, arm: Arm, question: Question, cancelled: Callable[[], bool]) -> Iterator[Event]:
        """Answer outside of any conversation, for a comparison; `Done` last."""
        if arm == "chunks":
            return self._engine.ask_chunks(question.text, question.options, cancelled)
        options = replace(question.options, exact=arm == "exact")
        return self._engine.ask(question.text, options, cancelled)

    def keep(self, question: Question, answer: Answer | None, partial: str, read: WhatWasRead | None) -> str:
        """Write a turn of the question's conversation into the library; returns its id."""
        return self._history.keep(
            question.conversing.id, question.text, question.asked_at, answer, partial, read
        )

    def forget(self) -> None:
        """Empty the context; the next question of a conversation attaches its documents again."""
        if self._dialogue is not None:
            self._dialogue.forget()

    def context_tokens(self) -> int:
        """Tokens that stand in the context now."""
        return self._engine.context.end(0)

    def _dialogue_of(self, conversing: Conversing) -> Dialogue:
        """The open dialogue of this conversation, or a new one that knows its earlier turns."""
        if self._dialogue is None or self._conversing is not conversing:
            self.forget()
            earlier = self._history.earlier(conversing.id) if conversing.id else []
            self._dialogue, self._conversing = self._engine.dialogue(earlier), conversing
            conversing.id = conversing.id or self._history.new_id()
        return self._dialogue

    def make_hot_copies(self, cancelled: Callable[[], bool]) -> None:
        """See `Engine.make_hot_copies`."""
        if problem := self._engine.make_hot_copies(cancelled):
            _LOG.warning("%s", problem)

    # ------------------------------------------------------------------- reading

    @property
    def reading(self) -> EngineReading:
        """Reads documents into the same context.

        A waiting question gets its turn after a slice of 128 tokens: 1.3 s at 100 tokens/s.  With SmolLM2 on
        one core (two runs of 384 tokens) slices of 64 to 384 tokens read 187-219 tokens/s without an order
        between them; slices of 32 are slower, 162-175.
        """
        return self._reading

    def set_reading_aside(self) -> Callable[[], None]:
        """Free the context for questions; what this returns puts everything back, bit for bit.

        With a quantised run-time cache reading has a context of its own: there is nothing to save.
        Otherwise the state blob is kept in memory meanwhile (28 kB a token with the default model).
        """
        context = self._engine.context
        if context.cache_type != "f16":
            return lambda: None
        state = context.state(0)
        context.clear()

        def put_back() -> None:
            context.clear()
            context.set_state(state)

        return put_back
