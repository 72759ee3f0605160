"""Puts pieces of streamed text together, so that no screen is flooded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from beyondrag.events import AnswerDelta, Event, EvidenceDelta

MIN_GAP_S = 1 / 30


def coalesced(events: Iterable[Event], clock: Callable[[], float] = time.monotonic) -> Iterator[Event]:
    """`events` with pieces of text that follow within 1/30 s of one another joined.

    Order and text stay the same.  What is held back is let go with the next event, whatever it is, and
    also when the events end in an exception: what the model wrote before a stop is not lost.
    """
    held: EvidenceDelta | AnswerDelta | None = None
    last = float("-inf")
    try:
        for event in events:
            if not isinstance(event, EvidenceDelta | AnswerDelta):
                if held is not None:
                    yield held
                    held = None
                yield event
                continue
            if held is not None and type(held) is not type(event):
                yield held
                held = None
            held = event if held is None else type(event)(held.text + event.text)
            if clock() - last >= MIN_GAP_S:
                let_go, held = held, None
                yield let_go
                last = clock()
    except GeneratorExit:
        raise
    except BaseException:
        if held is not None:
            yield held
        raise
    if held is not None:
        yield held
