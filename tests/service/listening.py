"""A listener that remembers every notice and can be waited on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from guards import PATIENCE_S

from beyondrag.service.notices import Notice

Kind = TypeVar("Kind")


class Ear:
    """Give it to `start`; `wait` for notices, look at `heard`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.heard: list[Notice] = []

    def __call__(self, notice: Notice) -> None:
        with self._changed:
            self.heard.append(notice)
            self._changed.notify_all()

    def of(self, kind: type[Kind], request: int | None = None) -> list[Kind]:
        """The notices of this kind so far, of one request or of all."""
        with self._changed:
            return [
                notice
                for notice in self.heard
                if isinstance(notice, kind) and (request is None or getattr(notice, "request", 0) == request)
            ]

    def wait(
        self, kind: type[Kind], request: int | None = None, *, fits: Callable[[Kind], bool] = lambda _: True
    ) -> Kind:
        """The first notice of this kind (of this request, that fits); waits until it has come."""
        found: list[Kind] = []

        def came() -> bool:
            found[:] = [notice for notice in self.of(kind, request) if fits(notice)]
            return bool(found)

        with self._changed:
            if not self._changed.wait_for(came, PATIENCE_S):
                raise AssertionError(f"no {kind.__name__} came; heard: {self.heard[-5:]}")
        return found[0]

    def place(self, notice: object) -> int:
        """When it came: its place among all notices."""
        with self._changed:
            return next(i for i, other in enumerate(self.heard) if other is notice)
