"""What snapshots save, from the headers of the files; nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterable

from library.kvcheck import values_per_token
from library.records import SnapshotRecord

_F16_BYTES = 2


def f16_bytes(snapshots: Iterable[SnapshotRecord]) -> int | None:
    """Bytes that the K and V values of `snapshots` would take as f16.

    One file is opened for each reading profile: all of a profile have the same model, so the same number
    of values per token.  None when there is no snapshot or a profile has no file that can be opened.
    Blocks for the disk.
    """
    by_profile: dict[str, list[SnapshotRecord]] = {}
    for snapshot in snapshots:
        by_profile.setdefault(snapshot.profile_id, []).append(snapshot)
    total = 0
    for records in by_profile.values():
        values = _values_per_token(records)
        if values is None:
            return None
        total += sum(record.n_tokens for record in records) * values * _F16_BYTES
    return total or None


_TRIES = 3
"""Files of a profile that are tried: one may be damaged or may just have gone."""


def _values_per_token(records: list[SnapshotRecord]) -> int | None:
    found = (values_per_token(record.path) for record in records[:_TRIES])
    return next((n_values for n_values in found if n_values is not None), None)
