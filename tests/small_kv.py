"""Real `.kv` files of a few kilobytes, as the exact codec lays them out, made without a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from kvfiles.codecs.base import CHUNK_TOKENS
from kvfiles.container import write_container
from kvfiles.snapshot import SCHEMA
from library.records import DocumentRecord, ReadingProfile, SnapshotRecord, Volume
from library.store import Library

LAYERS, HEADS, HEAD_DIM = 2, 1, 8
VALUES_PER_TOKEN = LAYERS * HEADS * 2 * HEAD_DIM
PROFILE = ReadingProfile("c" * 32, "tiny", "2" * 64, {"codec": "exact", "version": 1})


def write_kv(
    path: Path,
    document_id: str,
    n_tokens: int = 7,
    ordinal: int = 0,
    profile: str = PROFILE.id,
    about: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """A snapshot whose values depend on the document; `about` is added to what it says of itself."""
    rng = np.random.default_rng(int(document_id[:8], 16) + ordinal)
    shape = (LAYERS, n_tokens, HEADS * HEAD_DIM)
    meta = {
        "schema": SCHEMA,
        "profile": profile,
        "shape": [LAYERS, HEADS, HEAD_DIM, HEAD_DIM],
        "rope": {"kind": "norm"},
        "n_tokens": n_tokens,
        "position": 3,
        "chunk_tokens": CHUNK_TOKENS,
        "codec": "exact",
        "codec_params": {},
        "about": {"document": document_id, "volume": ordinal, "title": "", "label": "", **about},
    }
    arrays = {
        "tokens": rng.integers(0, 1000, n_tokens, dtype=np.int32),
        "0/k": rng.standard_normal(shape).astype(np.float16),
        "0/v": rng.standard_normal(shape).astype(np.float16),
    }
    write_container(path, meta, arrays)


def read(
    library: Library, document: DocumentRecord, n_volumes: int = 1, profile: ReadingProfile = PROFILE
) -> list[SnapshotRecord]:
    """Cut a document into volumes and keep a snapshot of each, as reading it with a model would."""
    library.put_profile(profile)
    cuts = [number * document.n_chars // n_volumes for number in range(n_volumes + 1)]
    volumes = [Volume(document.id, n, cuts[n], cuts[n + 1], 7, f"part {n + 1}") for n in range(n_volumes)]
    library.put_volumes(document.id, profile.id, volumes)
    records = []
    for ordinal in range(n_volumes):
        scratch = library.snapshot_scratch()
        write_kv(scratch, document.id, ordinal=ordinal, profile=profile.id)
        records.append(library.put_snapshot(document.id, ordinal, profile.id, scratch, 7, "exact"))
    return records
