"""`beyondrag inspect` on small files, sound and damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kvfiles.container import Container, write_container

META: dict[str, Any] = {
    "schema": 1,
    "chunk_tokens": 256,
    "profile": "p\x1b[31m",
    "shape": [2, 1, 8, 8],
    "rope": {"pairing": "neox", "base": 10000.0},
    "n_tokens": 3,
    "position": 40,
    "codec": "exact",
    "codec_params": {},
    "about": {"document": "[red]evil\n"},
}


@pytest.fixture
def kv(tmp_path: Path) -> Path:
    path = tmp_path / "small.kv"
    arrays = {"tokens": np.arange(3, dtype=np.int32), "k": np.ones((2, 3, 8), np.float16)}
    write_container(path, META, arrays)
    return path


def test_header_and_sections(kv: Path, beyondrag) -> None:
    shown = beyondrag("inspect", str(kv))
    assert (shown.code, shown.err) == (0, "")
    assert "bits/value  8.00" in shown.out  # of K and V; this file has no V
    assert "tokens      3 from position 40" in shown.out
    assert "2 layers, 1 KV heads, head sizes 8 (K) and 8 (V)" in shown.out
    assert "profile     p\\x1b[31m" in shown.out
    assert "document [red]evil\\n" in shown.out
    rows = [line.split() for line in shown.out.splitlines()[-2:]]
    assert [row[0] for row in rows] == ["tokens", "k"]
    assert rows[1][1:6] == ["f16", "2", "x", "3", "x"]
    assert {row[-1] for row in rows} == {"ok"}


def test_as_json(kv: Path, beyondrag) -> None:
    shown = beyondrag("inspect", str(kv), "--json").json
    assert shown["header"]["shape"] == {"layers": 2, "kv_heads": 1, "k_head_dim": 8, "v_head_dim": 8}
    assert (shown["header"]["bits_per_value"], shown["header"]["tokens"], shown["header"]["position"]) == (
        8,
        3,
        40,
    )
    assert shown["header"]["size_bytes"] == kv.stat().st_size
    with Container(kv) as container:
        expected = {name: (s.offset, s.n_bytes) for name, s in container.sections.items()}
    assert {s["name"]: (s["offset"], s["bytes"]) for s in shown["sections"]} == expected
    assert [s["checksum"] for s in shown["sections"]] == ["ok", "ok"]


def test_a_damaged_section_is_named(kv: Path, beyondrag) -> None:
    with Container(kv) as container:
        offset = container.sections["k"].offset
    raw = bytearray(kv.read_bytes())
    raw[offset] ^= 1
    kv.write_bytes(raw)
    shown = beyondrag("inspect", str(kv), "--json")
    assert shown.code == 6
    assert {s["name"]: s["checksum"] for s in shown.json["sections"]} == {"tokens": "ok", "k": "damaged"}


@pytest.mark.parametrize("content", [b"", b"GGUF" * 100, bytes(5000)])
def test_what_is_no_snapshot_is_refused(content: bytes, tmp_path: Path, beyondrag) -> None:
    path = tmp_path / "x.kv"
    path.write_bytes(content)
    shown = beyondrag("inspect", str(path))
    assert shown.code == 6
    assert str(path) in shown.err


@pytest.mark.parametrize("name", ["missing.kv", ".", "x" * 300])
def test_what_is_no_file_is_refused(name: str, tmp_path: Path, beyondrag) -> None:
    shown = beyondrag("inspect", f"{tmp_path}/{name}")
    assert shown.code in {6, 7}
    assert "internal error" not in shown.err
