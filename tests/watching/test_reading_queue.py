"""The queue of `beyondrag watch`: documents that change or go while they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from beyondrag.watching import queue as queue_module
from beyondrag.watching.queue import MAX_CUTS, ReadingQueue, VolumeKept
from ingest.pipeline import PendingVolume
from library.errors import DocumentNotFound
from library.records import DocumentText, PageSpan, ReadingProfile, SourceFile, Volume
from library.store import Library

PROFILE = ReadingProfile("p" * 16, "a model", "0" * 64, {"codec": "exact"})
FIRST, SECOND = "a" * 64, "b" * 64


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.create_or_open(tmp_path / "library") as opened:
        opened.put_profile(PROFILE)
        for document_id in (FIRST, SECOND):
            source = SourceFile(f"/docs/{document_id[:3]}.txt", 4, 1)
            text = DocumentText("text", (PageSpan("1", 0, 4),))
            opened.add(document_id, source, document_id[:3], "text/plain", text)
        yield opened


@pytest.mark.parametrize("n_changes", [0, 1, MAX_CUTS - 1, 10**6])
def test_a_document_that_changes_is_cut_anew_and_not_for_ever(
    library: Library, monkeypatch: pytest.MonkeyPatch, n_changes: int
) -> None:
    n_cut: Counter[str] = Counter()

    def pending(library: Library, document_ids: list[str], *_: object) -> list[PendingVolume]:
        (document_id,) = document_ids
        n_cut[document_id] += 1
        return [PendingVolume(library.document(document_id), Volume(document_id, 0, 0, 4, 3, ""), 1)]

    def read(_library: Library, volume: PendingVolume, *_: object, **__: object) -> SimpleNamespace:
        if volume.document.id == FIRST and n_cut[FIRST] <= n_changes:
            raise DocumentNotFound("the document was called otherwise while it was read")
        return SimpleNamespace(n_tokens=3, size_bytes=7)

    monkeypatch.setattr(queue_module, "pending_volumes", pending)
    monkeypatch.setattr(queue_module, "read_volume", read)
    queue = ReadingQueue(library, PROFILE.id)
    queue.add([FIRST, SECOND])
    engine = SimpleNamespace(profile=PROFILE, reader=None)
    kept: list[VolumeKept] = []
    while one := queue.read_one(
        engine,  # type: ignore[arg-type]  # of an engine nothing else is needed here
        on_start=lambda _pending: None,
        on_tokens=lambda _n: None,
        cancelled=lambda: False,
    ):
        kept.append(one)
    read_ids = [one.pending.document.id for one in kept]
    assert read_ids == ([SECOND] if n_changes >= MAX_CUTS else [FIRST, SECOND])
    assert n_cut[FIRST] == min(n_changes + 1, MAX_CUTS)
    assert len(queue) == 0
