"""Reading beside parsing, with a pretended model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pretend_reading import PretendModel
from small_kv import PROFILE

from beyondrag.errors import ModelNotFound
from beyondrag.reading_along import ReadingAlong, ReadingDone, ReadingProgress, Told
from beyondrag.reading_queue import MAX_CUTS
from beyondrag.settings import Settings
from ingest.pipeline import PendingVolume
from kvfiles.errors import BeyondragError, Cancelled, ContextOverflow, DecodeError, StorageError
from library.errors import DocumentNotFound
from library.records import DocumentText, PageSpan, SourceFile
from library.store import Library

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
PATIENCE_S = 600.0


class World:
    """A library of three documents and a pretended model."""

    def __init__(self, library: Library, settings: Settings, model: PretendModel) -> None:
        self.library, self.settings, self.model = library, settings, model

    @property
    def read(self) -> list[str]:
        """What was read, in order: "a0", "a1", ..."""
        return [f"{document_id[0]}{ordinal}" for document_id, ordinal in self.model.read]

    def along(
        self, *, at_once: bool = True, cancelled: Callable[[], bool] = lambda: False, told: Told | None = None
    ) -> ReadingAlong:
        return ReadingAlong(self.settings, cancelled, at_once=at_once, told=told)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    settings = Settings(tmp_path / "library", tmp_path / "models", "pretended", 4096, 1, "k4v4", "f16")
    with Library.create_or_open(settings.library) as library:
        for document_id in (A, B, C):
            text = DocumentText("ab", (PageSpan("1", 0, 2),))
            source = SourceFile(f"/docs/{document_id[0]}.txt", 2, 1)
            library.add(document_id, source, document_id[0], "text/plain", text)
        made = World(library, settings, PretendModel())
        made.model.install(monkeypatch.setattr)
        yield made
        assert made.model.n_open == 0, "the model is closed, whatever happened"


def finish(reading: ReadingAlong) -> tuple[ReadingDone, list[ReadingProgress]]:
    told: list[ReadingProgress] = []
    return reading.finish(told.append), told


def plan_and_finish(reading: ReadingAlong) -> None:
    reading.plan()
    finish(reading)


def test_the_first_document_is_read_before_the_last_one_is_known(world: World) -> None:
    has_read = threading.Semaphore(0)
    told = Told(kept=lambda *_: has_read.release())
    with world.library.writing(), world.along(told=told) as reading:  # as an ingest holds the lock meanwhile
        reading.offer([A])
        for _ in range(2):
            assert has_read.acquire(timeout=PATIENCE_S)
        assert world.read == ["a0", "a1"]
        reading.offer([A, B])
        plan = reading.plan()
        done, _ = finish(reading)
    assert world.read == ["a0", "a1", "b0", "b1"]
    assert (plan.n_volumes, plan.n_tokens, plan.size_bytes) == (4, 40, 160), "with what was read already"
    assert (plan.warnings, plan.relocatable, plan.tokens_per_s) == (("it is only pretended",), True, 100.0)
    assert (done.n_volumes, done.n_tokens) == (4, 40)
    assert done.size_bytes == sum(record.size_bytes for record in world.library.snapshots())


def test_where_someone_is_asked_first_it_only_counts(world: World) -> None:
    with world.along(at_once=False) as reading:
        reading.offer([A, B])
        plan = reading.plan()
        assert (plan.n_volumes, world.read) == (4, [])
        done, told = finish(reading)
    assert (done.n_volumes, len(world.read)) == (4, 4)
    assert [(one.index, one.n_pending, one.done_tokens, one.total_tokens) for one in told] == [
        (n // 3, 4, n // 3 * 10 + n % 3 * 5, 40) for n in range(12)
    ]


def test_who_says_no_leaves_it(world: World) -> None:
    with world.along(at_once=False) as reading:
        reading.offer([A])
        reading.plan()
    assert world.read == []
    assert world.library.snapshots() == []


def test_what_is_read_needs_no_model(world: World) -> None:
    with world.along() as reading:
        assert reading.plan().n_volumes == 0
    with world.along() as reading:
        reading.offer([A])
        reading.plan()
        finish(reading)
    world.model.opening_errors = [ModelNotFound("not installed")]
    with world.along() as reading:
        reading.offer([A])
        assert reading.plan().n_volumes == 0
        assert finish(reading)[0] == ReadingDone(0, 0, 0.0, 0)
    assert world.model.opening_errors, "it was not opened"


@pytest.mark.parametrize("at_once", [True, False])
def test_a_model_that_cannot_be_opened_is_told_after_the_indexing(world: World, at_once: bool) -> None:
    world.model.opening_errors = [ModelNotFound("not installed")]
    with world.along(at_once=at_once) as reading:
        reading.offer([A])
        reading.offer([B])
        with pytest.raises(ModelNotFound):
            reading.plan()


def test_a_full_disk_ends_the_reading_and_keeps_what_is_read(world: World) -> None:
    world.model.errors = {B: [StorageError("the disk is full")]}
    with world.along(at_once=False) as reading:
        reading.offer([A, B, C])
        reading.plan()
        with pytest.raises(StorageError):
            finish(reading)
    assert len(world.library.snapshots()) == 2


def test_a_stop_comes_between_two_slices(world: World) -> None:
    stopped = threading.Event()
    world.model.gate = lambda _: stopped.set() if len(world.read) == 1 else None
    with world.along(cancelled=stopped.is_set) as reading:
        reading.offer([A, B])
        with pytest.raises(Cancelled):
            plan_and_finish(reading)
    assert world.read == ["a0"]


def test_an_error_of_the_indexing_stops_the_reading(world: World) -> None:
    at_the_gate, go_on = threading.Event(), threading.Event()

    def gate(_pending: PendingVolume) -> None:
        at_the_gate.set()
        assert go_on.wait(PATIENCE_S)

    def fail_to_index(reading: ReadingAlong) -> None:
        with reading:
            reading.offer([A])
            assert at_the_gate.wait(PATIENCE_S)
            threading.Timer(0.2, go_on.set).start()
            raise StorageError("the disk is full")

    world.model.gate = gate
    with pytest.raises(StorageError):
        fail_to_index(world.along())
    assert world.read == []


@pytest.mark.parametrize("n_changes", [1, MAX_CUTS - 1, 99])
def test_a_document_that_changes_is_cut_anew_and_not_for_ever(world: World, n_changes: int) -> None:
    changed = DocumentNotFound("the document was called otherwise while it was read")
    world.model.errors = {A: [changed] * n_changes}
    with world.along(at_once=False) as reading:
        reading.offer([A, B])
        assert reading.plan().n_tokens == 40
        done, told = finish(reading)
    assert world.read == (["b0", "b1"] if n_changes >= MAX_CUTS else ["a0", "a1", "b0", "b1"])
    assert done.n_tokens == told[-1].done_tokens == told[-1].total_tokens
    assert world.model.n_cuts[A] == min(n_changes + 1, MAX_CUTS)


def test_a_document_that_goes_is_passed_over(world: World) -> None:
    with world.along(at_once=False) as reading:
        reading.offer([A, B])
        reading.plan()
        world.library.remove(A)
        world.model.errors = {A: [DocumentNotFound("no such document")]}
        done, _ = finish(reading)
    assert (world.read, done.n_volumes) == (["b0", "b1"], 2)


def test_what_a_question_has_read_meanwhile_is_not_read_twice(world: World) -> None:
    with world.along(at_once=False) as reading:
        reading.offer([A])
        reading.plan()
        file = world.library.snapshot_scratch()
        file.write_bytes(b"read by a question")
        world.library.put_snapshot(A, 0, PROFILE.id, file, 10, "exact")
        done, _ = finish(reading)
    assert (world.read, done.n_volumes) == (["a1"], 1)


def test_the_plan_grows_while_a_volume_is_read(world: World) -> None:
    """What comes while the model is busy counts at the next slice, not only when the volume is done."""
    told: list[ReadingProgress] = []
    reading = world.along(told=Told(progress=told.append))
    world.model.gate = lambda pending: reading.offer([B, C]) if not world.read else None
    with reading:
        reading.offer([A])
        reading.finish()
    first = [state for state in told if state.index == 0]
    assert [state.n_pending for state in first] == [2, 4, 4], "two volumes, then an estimate of two more"
    assert told[-1].n_pending == 6
    assert told[-1].done_tokens == told[-1].total_tokens == 60


@pytest.mark.parametrize("error", [ContextOverflow("too small"), DecodeError("status -3")])
def test_a_document_that_cannot_be_read_is_left_out_if_somebody_hears_of_it(
    world: World, error: BeyondragError
) -> None:
    kind = world.model.cutting_errors if isinstance(error, ContextOverflow) else world.model.errors
    kind[A] = [error]
    heard: list[tuple[str, BeyondragError]] = []
    with world.along(told=Told(unreadable=lambda *what: heard.append(what))) as reading:
        reading.offer([A, B])
        done = reading.finish()
    assert heard == [(A, error)]
    assert (world.read, done.n_volumes) == (["b0", "b1"], 2)
    kind[C] = [error]
    with world.along() as reading:
        reading.offer([C])
        with pytest.raises(type(error)):
            reading.finish()


def test_it_is_idle_when_all_is_read_and_goes_on_with_what_comes(world: World) -> None:
    with world.along() as reading:
        for documents, n_read in (([A], 2), ([B, C], 6)):
            reading.offer(documents)
            patience = threading.Event()
            for _ in range(int(PATIENCE_S / 0.01)):
                if reading.is_idle:
                    break
                patience.wait(0.01)
            assert len(world.read) == n_read
        assert world.model.n_opened == 1
        assert reading.finish().n_volumes == 6


def test_what_comes_after_a_failure_does_not_hide_it(world: World) -> None:
    world.model.errors = {A: [StorageError("the disk is full")]}
    failed = threading.Event()
    with world.along() as reading:
        reading.offer([A])
        for _ in range(int(PATIENCE_S / 0.01)):
            if reading.is_idle:
                break
            failed.wait(0.01)
        reading.offer([B])
        assert reading.is_idle
        with pytest.raises(StorageError):
            reading.finish()
