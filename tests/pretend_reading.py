"""A pretended engine for `EngineReading`: cuts each document in two and keeps small real `.kv` files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from small_kv import PROFILE, write_kv

from beyondrag import engine_reading, reading, reading_along
from beyondrag.engine import Engine
from beyondrag.settings import Settings
from ingest.pipeline import PendingVolume
from kvfiles.errors import Cancelled
from library.records import SnapshotRecord, Volume
from library.store import Library

N_VOLUMES = 2
N_TOKENS = 10


@dataclass
class PretendModel:
    """What is read, and what a test decides.

    `gate` is passed before each volume; `errors` are raised by a document's next readings, `cutting_errors`
    by its next cuttings, `opening_errors` by the next openings.
    """

    read: list[tuple[str, int]] = field(default_factory=list)
    gate: Callable[[PendingVolume], None] = lambda _pending: None
    errors: dict[str, list[Exception]] = field(default_factory=dict)
    cutting_errors: dict[str, list[Exception]] = field(default_factory=dict)
    opening_errors: list[Exception] = field(default_factory=list)
    n_open: int = 0
    n_opened: int = 0
    n_cuts: Counter[str] = field(default_factory=Counter)

    def install(self, patch: Callable[[object, str, Any], None]) -> None:
        """Put it in place of the real one; `patch` is `monkeypatch.setattr`, in a child process `setattr`."""
        for module in (reading, reading_along):
            patch(module, "profile_for", lambda _settings: (Path("x.gguf"), PROFILE))
        patch(reading_along, "Engine", self.open)
        patch(engine_reading, "pending_volumes", self.pending)
        patch(engine_reading, "read_volume", self.read_volume)

    def open(self, _settings: Settings, library: Library) -> Engine:
        if self.opening_errors:
            raise self.opening_errors.pop()
        engine: Any = PretendEngine(self)
        library.put_profile(PROFILE)
        return engine  # type: ignore[no-any-return]  # it does what is asked of an engine here

    def pending(self, library: Library, document_ids: list[str], *_: object) -> list[PendingVolume]:
        (document_id,) = document_ids
        self.n_cuts[document_id] += 1
        document = library.document(document_id)
        if self.cutting_errors.get(document_id):
            raise self.cutting_errors[document_id].pop()
        volumes = tuple(Volume(document_id, n, n, n + 1, N_TOKENS, f"part {n}") for n in range(N_VOLUMES))
        library.put_volumes(document_id, PROFILE.id, volumes)
        return [
            PendingVolume(document, volume, N_VOLUMES)
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
        **__: object,
    ) -> SnapshotRecord:
        document_id, ordinal = pending.document.id, pending.volume.ordinal
        self.gate(pending)
        if cancelled():
            raise Cancelled("stopped")
        if self.errors.get(document_id):
            raise self.errors[document_id].pop()
        on_slice(N_TOKENS // 2)
        on_slice(N_TOKENS)
        scratch = library.snapshot_scratch()
        write_kv(scratch, document_id, N_TOKENS, ordinal)
        record = library.put_snapshot(document_id, ordinal, PROFILE.id, scratch, N_TOKENS, "exact")
        self.read.append((document_id, ordinal))
        return record


class PretendEngine:
    """As much of an engine as reading asks for."""

    lasting_warnings = ("it is only pretended",)
    may_calibrate = False
    profile = PROFILE
    reader = SimpleNamespace(max_volume_tokens=1_000, only_profiles_codec=True)
    model = SimpleNamespace(shape=SimpleNamespace(values_per_token=8))

    def __init__(self, model: PretendModel) -> None:
        self._model = model

    def __enter__(self) -> PretendEngine:
        self._model.n_open += 1
        self._model.n_opened += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._model.n_open -= 1

    def prepare(self) -> SimpleNamespace:
        return SimpleNamespace(tokens_per_s=100.0, relocatable=True)

    def bits_per_value(self, _n_tokens: int) -> float:
        return 4.0
