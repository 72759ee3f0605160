"""How far a document of the library is: read and ready, only indexed, or read for another model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from library.records import DocumentRecord, SnapshotRecord, Volume
from library.store import Library

PAGE = 500
"""Documents whose rows are read at a time."""

State = Literal["ready", "indexed", "stale", "missing"]


@dataclass(frozen=True, slots=True)
class DocumentState:
    """A document under the current reading profile.

    `state` is "missing" when none of its files is there any more (it can still be asked about),
    "ready" when every volume has a snapshot, "stale" when there are snapshots, but only of other
    profiles, else "indexed".  `n_tokens` is None until the document was cut for some profile.
    `snapshots` are those of all profiles.
    """

    document: DocumentRecord
    state: State
    n_tokens: int | None
    n_volumes: int
    n_ready: int
    snapshots: tuple[SnapshotRecord, ...]

    @property
    def snapshot_bytes(self) -> int:
        """Size of all its snapshots in bytes."""
        return sum(snapshot.size_bytes for snapshot in self.snapshots)


def document_states(
    library: Library, profile_id: str | None, *, limit: int | None = None, offset: int = 0
) -> list[DocumentState]:
    """Up to `limit` documents (None: all) after the first `offset`, in the order in which they were added.

    `profile_id` None: nothing was read with the current model yet, so every snapshot is stale.
    """
    states: list[DocumentState] = []
    while limit is None or len(states) < limit:
        wanted = PAGE if limit is None else min(PAGE, limit - len(states))
        page = library.page(wanted, offset + len(states))
        states += states_of(library, page, profile_id)
        if len(page) < wanted:
            break
    return states


def document_state(library: Library, document: DocumentRecord, profile_id: str | None) -> DocumentState:
    """One document's state; see `document_states`."""
    return states_of(library, [document], profile_id)[0]


def states_of(
    library: Library, documents: Sequence[DocumentRecord], profile_id: str | None
) -> list[DocumentState]:
    """The states of these documents (some hundreds at most: they are looked up together), in order."""
    ids = [document.id for document in documents]
    snapshots = library.snapshots_among(ids)
    volumes = library.volumes_among(ids, profile_id) if profile_id else {}
    return [
        _state(document, profile_id, volumes.get(document.id, ()), snapshots.get(document.id, ()))
        for document in documents
    ]


def _state(
    document: DocumentRecord,
    profile_id: str | None,
    volumes: Sequence[Volume],
    snapshots: Sequence[SnapshotRecord],
) -> DocumentState:
    held = {snapshot.ordinal for snapshot in snapshots if snapshot.profile_id == profile_id}
    n_ready = sum(1 for volume in volumes if volume.ordinal in held)
    state: State = "indexed"
    if document.missing:
        state = "missing"
    elif volumes and n_ready == len(volumes):
        state = "ready"
    elif snapshots and not held:
        state = "stale"
    return DocumentState(
        document, state, _tokens(volumes, snapshots), len(volumes), n_ready, tuple(snapshots)
    )


def _tokens(volumes: Sequence[Volume], snapshots: Sequence[SnapshotRecord]) -> int | None:
    """Of the current profile's volumes; before there are any, of the profile that was read last."""
    if volumes:
        return sum(volume.n_tokens for volume in volumes)
    if not snapshots:
        return None
    last = max(snapshots, key=lambda snapshot: snapshot.created_at).profile_id
    return sum(snapshot.n_tokens for snapshot in snapshots if snapshot.profile_id == last)
