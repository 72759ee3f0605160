"""How far long work is, on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from beyondrag.quantities import amount_in_words, seconds_in_words
from beyondrag.terminal_text import escaped

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

LINE_EVERY_S = 10.0
_RATE_WINDOW_S = 30.0


class Progress(Protocol):
    """A context manager.  `update` may be called from any thread and as often as one likes."""

    def update(self, done: float, *, total: float | None = None, detail: str = "") -> None:
        """`done` units are done; `total`, when given, replaces the total; `detail` is a few words."""

    def note(self, text: str) -> None:
        """Write a line of plain text above the bar."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Pace:
    """Units per second over the last half minute, and what is left at that rate.

    Work that was done before the first update (a continued download) does not count towards the rate.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, float]] = deque()

    def reached(self, done: float) -> None:
        """Note that `done` units are done now; going backwards starts afresh."""
        now = self._clock()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] > _RATE_WINDOW_S:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """0 when it is not known yet."""
        if len(self._seen) < 2:
            return 0.0
        (t0, first), (t1, last) = self._seen[0], self._seen[-1]
        return (last - first) / (t1 - t0) if t1 > t0 else 0.0

    def in_words(self, done: float, total: float | None, unit: str) -> str:
        """ "5.2 MB/s · 3 min 10 s left", or as much of it as is known."""
        if not self.per_second:
            return ""
        rate = f"{amount_in_words(self.per_second, unit)}/s"
        if total is None or done >= total:
            return rate
        return f"{rate} · {seconds_in_words((total - done) / self.per_second)} left"


def share_in_words(done: float, total: float | None, unit: str) -> str:
    """ "12 % of 1.12 GB", or the amount alone where the total is not known."""
    if not total:
        return amount_in_words(done, unit)
    return f"{min(100, int(100 * done / total))} % of {amount_in_words(total, unit)}"


class LineProgress:
    """A line every `every_s` seconds, for logs and pipes."""

    def __init__(
        self,
        write: Callable[[str], None],
        total: float | None,
        unit: str,
        *,
        every_s: float = LINE_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write, self._total, self._unit = write, total, unit
        self._every_s, self._clock = every_s, clock
        self._pace = Pace(clock)
        self._last = clock()

    def update(self, done: float, *, total: float | None = None, detail: str = "") -> None:
        self._total = self._total if total is None else total
        self._pace.reached(done)
        if self._clock() - self._last < self._every_s:
            return
        self._last = self._clock()
        share = share_in_words(done, self._total, self._unit)
        parts = (detail, share, self._pace.in_words(done, self._total, self._unit))
        self._write(" · ".join(part for part in parts if part))

    def note(self, text: str) -> None:
        self._write(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class BarProgress:
    """A bar with share, rate and time left; it goes when the work ends."""

    def __init__(self, stream: TextIO, total: float | None, unit: str, *, color: bool) -> None:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._total, self._unit = total, unit
        self._pace = Pace()
        self._bar: RichProgress = RichProgress(
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}", markup=False),
            TextColumn("{task.description}", markup=False),
            console=RichConsole(file=stream, no_color=not color, highlight=False, markup=False, emoji=False),
            transient=True,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=total, state="")

    def update(self, done: float, *, total: float | None = None, detail: str = "") -> None:
        self._total = self._total if total is None else total
        self._pace.reached(done)
        state = share_in_words(done, self._total, self._unit)
        pace = self._pace.in_words(done, self._total, self._unit)
        self._bar.update(
            self._task,
            completed=done,
            total=self._total,
            description=f"· {escaped(detail)}" if detail else "",
            state=f"{state} · {pace}" if pace else state,
        )

    def note(self, text: str) -> None:
        from rich.text import Text

        self._bar.console.print(Text(text), soft_wrap=True)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
