"""How fast a long job goes of late."""

from __future__ import annotations

import math

_HALF_LIFE_S = 15.0


class Pace:
    """Tokens/s as an exponential mean over working time (half-life 15 s); pauses are not put in."""

    def __init__(self) -> None:
        self._tokens = self._seconds = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        """`tokens` took `seconds` of work."""
        kept = math.exp2(-max(seconds, 0.0) / _HALF_LIFE_S)
        self._tokens = self._tokens * kept + tokens
        self._seconds = self._seconds * kept + max(seconds, 0.0)

    @property
    def tokens_per_s(self) -> float:
        """0.0 until something was put in."""
        return self._tokens / self._seconds if self._seconds > 0 else 0.0

    def seconds_for(self, tokens: int) -> float | None:
        """How long `tokens` more will take; None while nothing was measured."""
        return tokens / self.tokens_per_s if self.tokens_per_s > 0 else None


class Throttle:
    """Lets something through at most every `every_s` seconds of the clock that is passed in."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._last = -math.inf

    def due(self, now: float) -> bool:
        """Whether it is time again; counts from now then."""
        if now - self._last < self._every_s:
            return False
        self._last = now
        return True
