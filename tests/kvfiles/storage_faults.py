"""A failing file system, without needing one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import pytest

UNPRIVILEGED_UID = 65534


class FullDisk:
    """A binary file that accepts `room` bytes and then raises `error`."""

    def __init__(self, file: BinaryIO, room: int, error: OSError) -> None:
        self._file, self._room, self._error = file, room, error

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if size > self._room:
            raise self._error
        self._room -= size
        return self._file.write(data)


def fill_disk(monkeypatch: pytest.MonkeyPatch, room: int, error: OSError) -> None:
    """Every file opened by handle from now on has `room` bytes of space."""
    fdopen = os.fdopen
    monkeypatch.setattr(os, "fdopen", lambda *args, **kwargs: FullDisk(fdopen(*args, **kwargs), room, error))


@contextmanager
def unprivileged() -> Iterator[None]:
    """Permissions apply inside, even where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(UNPRIVILEGED_UID)
    try:
        yield
    finally:
        os.seteuid(0)
