"""Reading beside parsing, with a pretended model."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from beyondrag import reading_along
from beyondrag.engine import Engine
from beyondrag.errors import ModelNotFound
from beyondrag.reading_along import MAX_CUTS, ReadingAlong, ReadingDone, ReadingProgress
from beyondrag.settings import Settings
from ingest.pipeline import PendingVolume
from kvfiles.errors import Cancelled, StorageError
from library.errors import DocumentNotFound
from library.records import DocumentText, PageSpan, ReadingProfile, SnapshotRecord, SourceFile, Volume
from library.store import Library

PROFILE = ReadingProfile("p" * 16, "a model", "0" * 64, {"codec": "exact"})
A, B, C = ("a" * 64, "b" * 64, "c" * 64)
N_TOKENS = 10
PATIENCE_S = 60.0


class World:
    """What the pretended model reads; `gate` is passed before each reading, `errors` are raised by it."""

    def __init__(self, library: Library, settings: Settings) -> None:
        self.library, self.settings = library, settings
        self.read: list[str] = []
        self.has_read = threading.Semaphore(0)
        self.gate: Callable[[], None] = lambda: None
        self.errors: dict[str, list[Exception]] = {}
        self.opening_errors: list[Exception] = []
        self.n_open = 0
        self.n_cuts: Counter[str] = Counter()

    def along(self, *, at_once: bool = True, cancelled: Callable[[], bool] = lambda: False) -> ReadingAlong:
        return ReadingAlong(self.settings, cancelled, at_once=at_once, open_engine=self.open)

    def open(self, _settings: Settings, library: Library) -> Engine:
        if self.opening_errors:
            raise self.opening_errors.pop()
        engine: Any = _PretendEngine(self)
        library.put_profile(PROFILE)
        return engine  # type: ignore[no-any-return]  # it does what is asked of an engine here

    def pending(self, library: Library, document_ids: list[str], *_: object) -> list[PendingVolume]:
        (document_id,) = document_ids
        self.n_cuts[document_id] += 1
        document = library.document(document_id)
        volumes = tuple(Volume(document_id, n, n, n + 1, N_TOKENS, f"part {n}") for n in range(2))
        library.put_volumes(document_id, PROFILE.id, volumes)
        return [
            PendingVolume(document, volume, 2)
            for volume in volumes
            if library.snapshot(document_id, volume.ordinal, PROFILE.id) is None
        ]

    def read_volume(
        self,
        library: Library,
        pending: PendingVolume,
        *_: object,
        on_slice: Callable[[int], None],
        cancelled: Callable[[], bool],
    ) -> SnapshotRecord:
        self.gate()
        if cancelled():
            raise Cancelled("stopped")
        if self.errors.get(pending.document.id):
            raise self.errors[pending.document.id].pop()
        on_slice(N_TOKENS)
        file = library.snapshot_scratch()
        file.write_bytes(f"{pending.document.id} {pending.volume.ordinal}".encode())
        record = library.put_snapshot(
            pending.document.id, pending.volume.ordinal, PROFILE.id, file, N_TOKENS, "exact"
        )
        self.read.append(f"{pending.document.id[0]}{pending.volume.ordinal}")
        self.has_read.release()
        return record


class _PretendEngine:
    warnings = ("it is only pretended",)
    profile, reader = PROFILE, None
    model = SimpleNamespace(shape=SimpleNamespace(values_per_token=8))

    def __init__(self, world: World) -> None:
        self._world = world

    def __enter__(self) -> _PretendEngine:
        self._world.n_open += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._world.n_open -= 1

    def prepare(self) -> SimpleNamespace:
        return SimpleNamespace(tokens_per_s=100.0, relocatable=True)

    def bits_per_value(self, _n_tokens: int) -> float:
        return 4.0


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    settings = Settings(tmp_path / "library", tmp_path / "models", "pretended", 4096, 1, "k4v4", "f16")
    with Library.create_or_open(settings.library) as library:
        for document_id in (A, B, C):
            text = DocumentText("ab", (PageSpan("1", 0, 2),))
            source = SourceFile(f"/docs/{document_id[0]}.txt", 2, 1)
            library.add(document_id, source, document_id[0], "text/plain", text)
        made = World(library, settings)
        monkeypatch.setattr(reading_along, "profile_for", lambda _settings: (Path("x.gguf"), PROFILE))
        monkeypatch.setattr(reading_along, "pending_volumes", made.pending)
        monkeypatch.setattr(reading_along, "read_volume", made.read_volume)
        yield made
        assert made.n_open == 0, "the model is closed, whatever happened"


def finish(reading: ReadingAlong) -> tuple[ReadingDone, list[ReadingProgress]]:
    told: list[ReadingProgress] = []
    return reading.finish(told.append), told


def plan_and_finish(reading: ReadingAlong) -> None:
    reading.plan()
    finish(reading)


def test_the_first_document_is_read_before_the_last_one_is_known(world: World) -> None:
    with world.library.writing(), world.along() as reading:  # as an ingest holds the lock meanwhile
        reading.offer([A])
        for _ in range(2):
            assert world.has_read.acquire(timeout=PATIENCE_S)
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
        (n // 2, 4, n // 2 * 10 + n % 2 * 10, 40) for n in range(8)
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
    world.opening_errors = [ModelNotFound("not installed")]
    with world.along() as reading:
        reading.offer([A])
        assert reading.plan().n_volumes == 0
        assert finish(reading)[0] == ReadingDone(0, 0, 0.0, 0)
    assert world.opening_errors, "it was not opened"


@pytest.mark.parametrize("at_once", [True, False])
def test_a_model_that_cannot_be_opened_is_told_after_the_indexing(world: World, at_once: bool) -> None:
    world.opening_errors = [ModelNotFound("not installed")]
    with world.along(at_once=at_once) as reading:
        reading.offer([A])
        reading.offer([B])
        with pytest.raises(ModelNotFound):
            reading.plan()


def test_a_full_disk_ends_the_reading_and_keeps_what_is_read(world: World) -> None:
    world.errors = {B: [StorageError("the disk is full")]}
    with world.along(at_once=False) as reading:
        reading.offer([A, B, C])
        reading.plan()
        with pytest.raises(StorageError):
            finish(reading)
    assert len(world.library.snapshots()) == 2


def test_a_stop_comes_between_two_slices(world: World) -> None:
    stopped = threading.Event()
    world.gate = lambda: stopped.set() if len(world.read) == 1 else None
    with world.along(cancelled=stopped.is_set) as reading:
        reading.offer([A, B])
        with pytest.raises(Cancelled):
            plan_and_finish(reading)
    assert world.read == ["a0"]


def test_an_error_of_the_indexing_stops_the_reading(world: World) -> None:
    at_the_gate, go_on = threading.Event(), threading.Event()

    def gate() -> None:
        at_the_gate.set()
        assert go_on.wait(PATIENCE_S)

    def fail_to_index(reading: ReadingAlong) -> None:
        with reading:
            reading.offer([A])
            assert at_the_gate.wait(PATIENCE_S)
            threading.Timer(0.2, go_on.set).start()
            raise StorageError("the disk is full")

    world.gate = gate
    with pytest.raises(StorageError):
        fail_to_index(world.along())
    assert world.read == []


@pytest.mark.parametrize("n_changes", [1, MAX_CUTS - 1, 99])
def test_a_document_that_changes_is_cut_anew_and_not_for_ever(world: World, n_changes: int) -> None:
    changed = DocumentNotFound("the document was called otherwise while it was read")
    world.errors = {A: [changed] * n_changes}
    with world.along(at_once=False) as reading:
        reading.offer([A, B])
        assert reading.plan().n_tokens == 40
        done, told = finish(reading)
    assert world.read == (["b0", "b1"] if n_changes >= MAX_CUTS else ["a0", "a1", "b0", "b1"])
    assert done.n_tokens == told[-1].done_tokens == told[-1].total_tokens
    assert world.n_cuts[A] == min(n_changes + 1, MAX_CUTS)


def test_a_document_that_goes_is_passed_over(world: World) -> None:
    with world.along(at_once=False) as reading:
        reading.offer([A, B])
        reading.plan()
        world.library.remove(A)
        world.errors = {A: [DocumentNotFound("no such document")]}
        done, _ = finish(reading)
    assert (world.read, done.n_volumes) == (["b0", "b1"], 2)


def test_what_a_question_has_read_meanwhile_is_not_read_twice(world: World) -> None:
    with world.along(at_once=False) as reading:
        reading.offer([A])
        reading.plan()
        file = world.library.snapshot_scratch()
        file.write_bytes(b"read by a question")
        world.library.put_snapshot(A, 0, PROFILE.id, file, N_TOKENS, "exact")
        done, _ = finish(reading)
    assert (world.read, done.n_volumes) == (["a1"], 1)
