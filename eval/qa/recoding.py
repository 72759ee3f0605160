"""Snapshots for another codec out of exact ones: an exact snapshot holds what was prefilled bit for bit, so
coding it anew gives the file that reading the document once more would give, in seconds."""

from __future__ import annotations

from concurrent.futures import Executor
from contextlib import suppress

import numpy as np

from beyondrag.engine import Engine
from ingest.pipeline import PendingVolume, tokens_of
from kvfiles.codecs import ExactCodec
from kvfiles.errors import SnapshotError
from kvfiles.positions import RopeTables
from kvfiles.recode import recode
from kvfiles.snapshot import Snapshot
from library.records import ReadingProfile, SnapshotRecord


def coded_from_exact(engine: Engine, pending: PendingVolume, pool: Executor) -> SnapshotRecord | None:
    """Keep the volume's snapshot in the engine's codec, coded from its exact one.

    None when there is no exact snapshot of the same tokens under a profile that differs in the codec only;
    a damaged one counts as none.  Raises StorageError.
    """
    source = _exact_record(engine, pending)
    if source is None:
        return None
    library, desk, profile = engine.library, engine.desk, engine.profile
    tokens, model = tokens_of(library, pending, desk.reader), desk.model
    scratch = library.snapshot_scratch()
    try:
        with Snapshot(source.path, desk.kernels) as snapshot:
            snapshot.require(profile=source.profile_id, shape=model.shape, rope=model.rope.describe())
            if not np.array_equal(snapshot.tokens, tokens):
                return None
            recode(
                snapshot,
                scratch,
                engine.codec,
                tables=RopeTables(model.rope, model.shape.n_kv_head),
                kernels=desk.kernels,
                pool=pool,
                about={},
                profile=profile.id,
            )
        volume, codec = pending.volume, desk.reader.codec_label
        return library.put_snapshot(
            volume.document_id, volume.ordinal, profile.id, scratch, len(tokens), codec
        )
    except SnapshotError:
        return None
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


def _exact_record(engine: Engine, pending: PendingVolume) -> SnapshotRecord | None:
    """The catalogue's exact snapshot of the volume by the same model and prompt."""
    if engine.codec.name == ExactCodec.name:
        return None
    library, volume = engine.library, pending.volume
    for profile in library.profiles():
        if profile.description["codec"] == ExactCodec.name and _besides_codec(profile) == _besides_codec(
            engine.profile
        ):
            return library.snapshot(volume.document_id, volume.ordinal, profile.id)
    return None


def _besides_codec(profile: ReadingProfile) -> dict[str, object]:
    return {name: value for name, value in profile.description.items() if name != "codec"}
