"""How fast documents are read for one question, and how long that still takes."""

from __future__ import annotations

import time
from collections.abc import Callable

from beyondrag.events import ReadingDocument
from beyondrag.quantities import seconds_in_words
from beyondrag.service.pace import Pace


class ReadingPace:
    """Give it every `ReadingDocument` as it comes; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pace = Pace()
        self._seen: ReadingDocument | None = None
        self._at = clock()

    def begin(self) -> None:
        """What comes is read from now on."""
        self._seen, self._at = None, self._clock()

    def after(self, event: ReadingDocument) -> str:
        """Tokens/s and what is left, in words; "" while nothing can be said."""
        now = self._clock()
        before = self._seen
        read = event.done - (before.done if before is not None and self._goes_on(before, event) else 0)
        if read > 0:
            self._pace.add(read, now - self._at)
        self._seen, self._at = event, now
        left = self._pace.seconds_for(event.total - event.done)
        if left is None:
            return ""
        return f"{self._pace.tokens_per_s:,.0f} tokens/s · {seconds_in_words(left)} left"

    @staticmethod
    def _goes_on(before: ReadingDocument, event: ReadingDocument) -> bool:
        """Whether both belong to one count of tokens: of one document, or of everything that is read."""
        same = not event.kept or before.title == event.title
        return same and before.kept == event.kept and before.done <= event.done
