"""A request that was taken: its number, and what the user wants of it meanwhile."""

from __future__ import annotations

import itertools
import threading


class Ticket:
    """One request.  Set from any thread, looked at by the thread that works on it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.paused = False
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End it at the next safe point."""
        self._stopped.set()

    def stopped(self) -> bool:
        """Whether it is to end."""
        return self._stopped.is_set()


class Tickets:
    """Hands out numbers from 1 and finds the requests that have not ended yet.  Thread-safe."""

    def __init__(self) -> None:
        self._mutex = threading.RLock()  # a signal handler that closes may break in
        self._numbers = itertools.count(1)
        self._open: dict[int, Ticket] = {}

    def issue(self) -> Ticket:
        """A new request."""
        with self._mutex:
            ticket = Ticket(next(self._numbers))
            self._open[ticket.number] = ticket
            return ticket

    def find(self, number: int) -> Ticket | None:
        """The request with this number; None when it ended or never was."""
        with self._mutex:
            return self._open.get(number)

    def done(self, ticket: Ticket) -> None:
        """It ended."""
        with self._mutex:
            self._open.pop(ticket.number, None)

    def stop_all(self) -> None:
        """End all of them."""
        with self._mutex:
            for ticket in self._open.values():
                ticket.stop()
