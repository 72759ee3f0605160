"""What snapshots save: from the headers of real files, and in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import record, snapshot, state

from beyondrag.snapshot_facts import f16_bytes
from beyondrag.tui.widgets.document_table import facts, last_read, stored_in_words
from kvfiles.codecs.base import CHUNK_TOKENS
from kvfiles.container import write_container
from kvfiles.snapshot import SCHEMA
from library.records import SnapshotRecord

LAYERS, KV_HEADS, HEAD_DIM = 3, 2, 16
VALUES = LAYERS * KV_HEADS * HEAD_DIM * 2
"""K and V of one token."""


def held(folder: Path, profile: str, n_tokens: int, *, file: bool = True) -> SnapshotRecord:
    """A snapshot's record, with or without a file that has a header (and no tensors)."""
    path = folder / f"{profile}-{n_tokens}.kv"
    if file:
        meta = {
            "schema": SCHEMA,
            "profile": profile,
            "shape": [LAYERS, KV_HEADS, HEAD_DIM, HEAD_DIM],
            "rope": {},
            "n_tokens": n_tokens,
            "position": 10,
            "chunk_tokens": CHUNK_TOKENS,
            "codec": "exact",
            "codec_params": {},
            "about": {},
        }
        write_container(path, meta, {"tokens": np.zeros(n_tokens, np.int32)})
    return replace(snapshot(record(), n_tokens), path=path, profile_id=profile)


def test_two_bytes_for_every_k_and_v_value_of_every_token(tmp_path: Path) -> None:
    snapshots = [held(tmp_path, "p", 100), held(tmp_path, "p", 50), held(tmp_path, "q", 7)]
    assert f16_bytes(snapshots) == (100 + 50 + 7) * VALUES * 2


def test_one_readable_file_of_a_profile_is_enough(tmp_path: Path) -> None:
    damaged = held(tmp_path, "p", 20)
    damaged.path.write_bytes(b"not a container")
    gone = held(tmp_path, "p", 30, file=False)
    assert f16_bytes([damaged, gone, held(tmp_path, "p", 10)]) == 60 * VALUES * 2


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    assert f16_bytes([]) is None
    assert f16_bytes([held(tmp_path, "p", 10), held(tmp_path, "q", 30, file=False)]) is None


@pytest.mark.parametrize(
    ("n_bytes", "f16", "words"),
    [
        (25_000_000, 100_000_000, "25.0 MB instead of 100 MB as f16 (4.0x smaller)"),
        (25_000_000, None, "25.0 MB"),
        (0, 100, "0 bytes"),
    ],
)
def test_a_ratio_is_only_given_where_both_are_known(n_bytes: int, f16: int | None, words: str) -> None:
    assert stored_in_words(n_bytes, f16) == words


def test_facts_are_one_line_each_and_never_none() -> None:
    odd = replace(record(title="a\nb"), warnings=("first\nsecond",), paths=("/a\nb", "/c"))
    lines = facts(state(odd, "indexed", None), None).splitlines()
    assert "tokens    not counted yet" in lines
    assert "warning first second" in [" ".join(line.split()) for line in lines]
    assert "file /a b" in [" ".join(line.split()) for line in lines]
    assert "None" not in "".join(lines)


def test_a_snapshot_that_was_never_attached() -> None:
    read = state(record())
    assert last_read(read) is not None
    never = replace(read, snapshots=(replace(read.snapshots[0], last_read_at=None),))
    assert last_read(never) is None
    assert "last read never" in facts(never, None)
