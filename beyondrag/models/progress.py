"""What a pull tells the one who started it, and how it is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from kvfiles.errors import Cancelled

Stage = Literal["download", "verify", "retry", "next source"]

_CANCEL_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class PullProgress:
    """Where a pull stands.

    `done_bytes` of `total_bytes` (None: unknown) of the model, in part `part` of `n_parts` (from 1).
    `detail` is one line: the source while downloading, the reason for "retry" and "next source".
    """

    stage: Stage
    done_bytes: int
    total_bytes: int | None
    part: int = 1
    n_parts: int = 1
    detail: str = ""


ProgressCallback = Callable[[PullProgress], None]
CancelCheck = Callable[[], bool]


def silent(_: PullProgress) -> None:
    """A `ProgressCallback` that shows nothing."""


def never() -> bool:
    """A `CancelCheck` that never stops anything."""
    return False


def stop_if(cancelled: CancelCheck, subject: str) -> None:
    """Raise `Cancelled` when the user wants to stop."""
    if cancelled():
        raise Cancelled("stopped", subject=subject, remedy="pull it again to go on where it stopped")


def pause(seconds: float, cancelled: CancelCheck, subject: str) -> None:
    """Sleep, waking up for `cancelled`."""
    end = time.monotonic() + seconds
    while True:
        stop_if(cancelled, subject)
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, _CANCEL_POLL_S))
