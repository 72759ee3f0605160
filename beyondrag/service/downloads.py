"""Pulling a model, told as notices."""

from __future__ import annotations

import time
from collections.abc import Callable

from beyondrag.models import ModelStore, PullProgress, pull
from beyondrag.service.announcer import Announcer
from beyondrag.service.notices import Pulled, Pulling
from beyondrag.service.pace import Throttle
from beyondrag.service.ticket import Ticket
from beyondrag.settings import Settings

SAY_EVERY_S = 0.2
_MEAN_S = 5.0
_WORDS = {"verify": "checking", "retry": "trying again", "next source": "trying another source"}


def pull_model(ticket: Ticket, model: str, settings: Settings, announcer: Announcer) -> str:
    """Download `model` into the models folder; `Pulling`... and `Pulled` are told.  Returns its name.

    Raises UsageError, DownloadError, StorageError, Cancelled.
    """
    installed = pull(
        ModelStore(settings.models),
        model,
        progress=_Progress(ticket, announcer, time.monotonic),
        cancelled=ticket.stopped,
    )
    announcer.tell(Pulled(ticket.number, installed.name))
    return installed.name


class _Progress:
    """Turns a pull's progress into notices, a few a second, with the rate of the last seconds."""

    def __init__(self, ticket: Ticket, announcer: Announcer, clock: Callable[[], float]) -> None:
        self._ticket, self._announcer, self._clock = ticket, announcer, clock
        self._throttle = Throttle(SAY_EVERY_S)
        self._stage = ""
        self._seen: list[tuple[float, int]] = []

    def __call__(self, progress: PullProgress) -> None:
        now, done = self._clock(), progress.done_bytes
        turned = progress.stage != self._stage or (bool(self._seen) and done < self._seen[-1][1])
        if turned:
            self._stage = progress.stage
            self._seen.clear()
        if not (self._throttle.due(now) or turned or done == progress.total_bytes):
            return
        self._seen = [(at, before) for at, before in self._seen if now - at <= _MEAN_S]
        self._seen.append((now, done))
        (first_at, first), (last_at, last) = self._seen[0], self._seen[-1]
        rate = (last - first) / (last_at - first_at) if last_at > first_at else 0.0
        words = _WORDS.get(progress.stage, "")
        detail = f"{words}: {progress.detail}" if words and progress.detail else words or progress.detail
        self._announcer.tell(Pulling(self._ticket.number, done, progress.total_bytes, rate, detail))
