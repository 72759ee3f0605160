"""Headers with valid checksums around nonsense: each one a typed error, none of them slow."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
import xxhash
from container_samples import check, forge
from guards import step_limit

from kvfiles.container import VERSION, Container
from kvfiles.errors import SnapshotCorrupt, SnapshotVersion


def section(
    name: Any = "a", dtype: Any = "u8", shape: Any = (4,), offset: Any = 0, n: Any = 4, xxh3: Any = "0"
) -> Any:
    return [name, dtype, shape, offset, n, xxh3]


def header(*rows: Any, size: Any = 64, meta: Any = None) -> Any:
    return {"meta": {} if meta is None else meta, "sections": list(rows), "size": size}


PAYLOAD = bytes(64)

FORGERIES: dict[str, Any] = {
    "header is a list": [],
    "header is null": None,
    "no meta": {"sections": [], "size": 64},
    "meta is a list": header(meta=[1]),
    "sections is a number": {"meta": {}, "sections": 4, "size": 64},
    "sections is a dict": {"meta": {}, "sections": {"abcdef": 1}, "size": 64},
    "size is a string": header(size="64"),
    "size is true": header(size=True),
    "size is a fraction": header(size=64.0),
    "size is negative": header(size=-64),
    "size is huge": header(size=2**63),
    "section too short": header(["a", "u8"]),
    "section is a string": header("abcdef"),
    "name is a number": header(section(name=5)),
    "name is null": header(section(name=None)),
    "unknown dtype": header(section(dtype="f64")),
    "dtype is a list": header(section(dtype=["u8"])),
    "shape is a number": header(section(shape=4)),
    "shape is a string": header(section(shape="4")),
    "shape holds strings": header(section(shape=["4"])),
    "shape holds fractions": header(section(shape=[4.0])),
    "shape holds true": header(section(shape=[True], n=1)),
    "shape is negative": header(section(shape=[-2, -2])),
    "shape is larger than its bytes": header(section(shape=[5])),
    "shape of 70 dimensions": header(section(shape=[1] * 70, n=1)),
    "empty shape of huge sides": header(section(shape=[0, 2**62, 2**62], n=0)),
    "shape overflows to its size": header(section(shape=[2**32, 2**32, 4])),
    "offset is a string": header(section(offset="0")),
    "offset is a fraction": header(section(offset=0.0)),
    "offset is true": header(section(offset=True)),
    "offset is negative": header(section(offset=-64)),
    "offset is not aligned": header(section(offset=8)),
    "offset is outside": header(section(offset=64)),
    "offset is huge": header(section(offset=2**63 - 1)),
    "bytes is huge": header(section(shape=[2**39], n=2**39)),
    "bytes is a fraction": header(section(n=4.0)),
    "checksum is a number": header(section(xxh3=0)),
    "checksum is no number": header(section(xxh3="zz")),
    "checksum does not fit": header(section()),
    "overlap": header(section(), section(name="b")),
    "wrong order": header(section(offset=64), section(name="b"), size=128),
    "same name": header(section(shape=[0], n=0), section()),
    "gap with room for hidden bytes": header(section(offset=0), size=192),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_headers_are_typed_errors(tmp_path: Path, name: str) -> None:
    path = tmp_path / "forged.kv"
    wanted = FORGERIES[name]
    size = wanted.get("size") if isinstance(wanted, dict) else 64
    forge(path, wanted, bytes(size) if type(size) is int and 0 <= size < 4096 else PAYLOAD)
    with pytest.raises(SnapshotCorrupt):
        (check if name == "checksum does not fit" else Container)(path)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"meta":1e999}', b"NaN"])
def test_headers_that_are_not_json(tmp_path: Path, raw: bytes) -> None:
    forge(tmp_path / "f.kv", None, PAYLOAD, raw=raw)
    with pytest.raises(SnapshotCorrupt):
        check(tmp_path / "f.kv")


def test_the_forger_itself_makes_valid_files(tmp_path: Path) -> None:
    """Otherwise every test above would pass for the wrong reason."""
    digest = f"{xxhash.xxh3_64_intdigest(bytes(4)):016x}"
    forge(tmp_path / "f.kv", header(section(xxh3=digest), size=64), PAYLOAD)
    check(tmp_path / "f.kv")


def test_stray_bytes_in_the_padding_are_found(tmp_path: Path) -> None:
    digest = f"{xxhash.xxh3_64_intdigest(bytes(4)):016x}"
    forge(tmp_path / "f.kv", header(section(xxh3=digest), size=64), bytes(63) + b"\x01")
    with pytest.raises(SnapshotCorrupt, match="stray"):
        check(tmp_path / "f.kv")


@pytest.mark.parametrize("version", [0, VERSION + 1, 0xFFFFFFFF])
def test_another_version_says_so(tmp_path: Path, version: int) -> None:
    forge(tmp_path / "f.kv", header(size=0), version=version)
    with pytest.raises(SnapshotVersion, match=str(version)) as caught:
        check(tmp_path / "f.kv")
    assert "update" in caught.value.remedy


@pytest.mark.parametrize("length", [0, 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_header_length_bombs(kv: Path, length: int) -> None:
    data = bytearray(kv.read_bytes())
    struct.pack_into("<I", data, 12, length)
    kv.write_bytes(data)
    with pytest.raises(SnapshotCorrupt):
        check(kv)


def test_a_million_huge_sides_are_refused_at_once(tmp_path: Path) -> None:
    forge(tmp_path / "bomb.kv", header(section(shape=[2**63 - 1] * 700_000)), PAYLOAD)
    with step_limit(20_000), pytest.raises(SnapshotCorrupt):  # looking at each of them is 700,000 and more
        check(tmp_path / "bomb.kv")


def test_error_texts_carry_no_control_characters(tmp_path: Path) -> None:
    evil = "\x1b[2J\x07"
    for row in (section(name=evil), section(dtype=evil), section(xxh3=evil), section(name=evil, offset=64)):
        forge(tmp_path / "f.kv", header(row), PAYLOAD)
        with pytest.raises(SnapshotCorrupt) as caught:
            check(tmp_path / "f.kv")
        assert "\x1b" not in str(caught.value)
