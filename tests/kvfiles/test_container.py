"""The `.kv` container: what is written comes back, and no damage of any kind gets past it."""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from mutations import mutate_bytes, mutate_json
from storage_faults import fill_disk, unprivileged

from kvfiles import container as module
from kvfiles.container import ALIGNMENT, MAGIC, VERSION, Container, write_container
from kvfiles.errors import SnapshotCorrupt, SnapshotError, SnapshotVersion, StorageError

PREAMBLE = 24

META: dict[str, Any] = {"schema": 1, "about": {"title": "Ein Bericht"}, "n": 3}
ARRAYS = {
    "tokens": np.arange(3, dtype=np.int32),
    "0/k": np.arange(24, dtype=np.float16).reshape(3, 8),
    "0/empty": np.empty((0, 8), np.float16),
    "0/codes": np.arange(70, dtype=np.uint8),
    "0/reference": np.array([0.5], np.float32),
}


@pytest.fixture
def kv(tmp_path: Path) -> Path:
    path = tmp_path / "file.kv"
    assert write_container(path, META, ARRAYS) == path.stat().st_size
    return path


def check(path: Path) -> None:
    """Open and verify everything, as `library verify` does."""
    with Container(path) as container:
        container.verify()


def forge(
    path: Path, header: Any, payload: bytes = b"", *, version: int = VERSION, raw: bytes | None = None
) -> None:
    """A file with a valid header checksum around any header at all."""
    encoded = orjson.dumps(header) if raw is None else raw
    start = struct.pack("<8sII", MAGIC, version, len(encoded))
    checksum = xxhash.xxh3_64_intdigest(start + encoded)
    head = start + struct.pack("<Q", checksum) + encoded
    path.write_bytes(head + bytes(-len(head) % ALIGNMENT) + payload)


def header_of(data: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<I", data, 12)
    parsed: dict[str, Any] = orjson.loads(data[PREAMBLE : PREAMBLE + length])
    return parsed


# ---------------------------------------------------------------------- round trip


def test_arrays_and_meta_come_back(kv: Path) -> None:
    with Container(kv) as container:
        assert container.meta == META
        assert list(container.sections) == list(ARRAYS)
        assert container.size_bytes == kv.stat().st_size
        for name, array in ARRAYS.items():
            got = container.array(name)
            assert got.dtype == array.dtype
            np.testing.assert_array_equal(got, array)
            assert container.sections[name].offset % ALIGNMENT == 0


arrays = st.dictionaries(
    st.text(min_size=1, max_size=12),
    npst.arrays(
        st.sampled_from([np.uint8, np.int32, np.float16, np.float32]),
        npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
    ),
    max_size=6,
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4), arrays)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_any_arrays_round_trip(tmp_path: Path, meta: dict[str, Any], values: dict[str, np.ndarray]) -> None:
    path = tmp_path / "any.kv"
    write_container(path, meta, values)
    with Container(path) as container:
        container.verify()
        assert container.meta == meta
        for name, array in values.items():
            got = container.array(name)
            assert (got.dtype, got.shape) == (array.dtype, array.shape)
            assert got.tobytes() == array.tobytes()  # bit for bit, NaNs too


def test_slices_and_transposed_arrays_are_written_in_order(tmp_path: Path) -> None:
    whole = np.arange(60, dtype=np.float32).reshape(6, 10)
    write_container(tmp_path / "a.kv", {}, {"columns": whole[:, ::3], "turned": whole.T})
    with Container(tmp_path / "a.kv") as container:
        np.testing.assert_array_equal(container.array("columns"), whole[:, ::3])
        np.testing.assert_array_equal(container.array("turned"), whole.T)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, kv: Path) -> None:
    write_container(tmp_path / "again.kv", META, ARRAYS)
    assert (tmp_path / "again.kv").read_bytes() == kv.read_bytes()


def test_several_arrays_come_with_one_read_into_a_given_buffer(kv: Path) -> None:
    with Container(kv) as container:
        names = ["0/k", "0/codes"]
        start, size = container.stretch(names)
        assert start == container.sections["0/k"].offset
        assert start + size == container.sections["0/codes"].offset + 70
        buffer = np.full(size + 9, 0xA5, np.uint8)
        for name, got in container.arrays(names, buffer).items():
            np.testing.assert_array_equal(got, ARRAYS[name])
            assert np.shares_memory(got, buffer)
        assert (buffer[size:] == 0xA5).all()


def test_a_file_cut_short_while_it_is_open(tmp_path: Path) -> None:
    """Reading a mapped file would end the process here."""
    path = tmp_path / "long.kv"
    write_container(path, {}, {"a": np.zeros(100_000, np.uint8)})
    with Container(path) as container:
        os.truncate(path, 5000)
        with pytest.raises(SnapshotCorrupt, match="shorter"):
            container.verify()


def test_a_missing_section_is_typed(kv: Path) -> None:
    with Container(kv) as container, pytest.raises(SnapshotCorrupt, match="missing"):
        container.array("1/k")


# ------------------------------------------------------------------------- damage


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_found(kv: Path, tmp_path: Path, mask: int) -> None:
    good = bytearray(kv.read_bytes())
    path = tmp_path / "flipped.kv"
    for at in range(len(good)):
        good[at] ^= mask
        path.write_bytes(good)
        good[at] ^= mask
        with pytest.raises(SnapshotError):
            check(path)
    path.write_bytes(good)
    check(path)


def test_every_truncation_is_found(kv: Path, tmp_path: Path) -> None:
    good = kv.read_bytes()
    path = tmp_path / "cut.kv"
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(SnapshotCorrupt):
            check(path)


@pytest.mark.parametrize("extra", [b"\0", b"\0" * 64, b"x" * 5000])
def test_every_extension_is_found(kv: Path, extra: bytes) -> None:
    kv.write_bytes(kv.read_bytes() + extra)
    with pytest.raises(SnapshotCorrupt, match="bytes too many"):
        check(kv)


def test_a_text_mode_transfer_is_found(kv: Path) -> None:
    kv.write_bytes(kv.read_bytes().replace(b"\r\n", b"\n"))
    with pytest.raises(SnapshotCorrupt, match=r"not a \.kv file"):
        check(kv)


def test_damage_names_the_section(kv: Path) -> None:
    data = bytearray(kv.read_bytes())
    with Container(kv) as container:
        at = container.sections["0/codes"].offset
    data[at + 69] ^= 4
    kv.write_bytes(data)
    with Container(kv) as container:
        container.array("tokens")  # other sections stay readable
        with pytest.raises(SnapshotCorrupt, match="0/codes") as caught:
            container.verify()
    assert str(kv) in str(caught.value)
    assert "ingest" in caught.value.remedy


# ----------------------------------------------------------------- forged headers


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
    start = time.perf_counter()
    with pytest.raises(SnapshotCorrupt):
        check(tmp_path / "bomb.kv")
    assert time.perf_counter() - start < 2.0  # multiplying them out would take minutes


def test_error_texts_carry_no_control_characters(tmp_path: Path) -> None:
    evil = "\x1b[2J\x07"
    for row in (section(name=evil), section(dtype=evil), section(xxh3=evil), section(name=evil, offset=64)):
        forge(tmp_path / "f.kv", header(row), PAYLOAD)
        with pytest.raises(SnapshotCorrupt) as caught:
            check(tmp_path / "f.kv")
        assert "\x1b" not in str(caught.value)


# ----------------------------------------------------------- things that are no file


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        Container(tmp_path / "none.kv")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        Container(tmp_path)


def test_a_named_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.kv")
    with pytest.raises(StorageError, match="not a regular file"):
        Container(tmp_path / "pipe.kv")


def test_an_endless_device_is_not_read() -> None:
    with pytest.raises(StorageError, match="not a regular file"):
        Container(Path("/dev/zero"))


def test_no_permission(kv: Path) -> None:
    kv.parent.chmod(0)
    try:
        with unprivileged():
            with pytest.raises(StorageError) as reading:
                Container(kv)
            with pytest.raises(StorageError) as writing:
                write_container(kv.parent / "new.kv", META, ARRAYS)
    finally:
        kv.parent.chmod(0o700)
    assert "permission" in reading.value.remedy
    assert "permission" in writing.value.remedy


# ------------------------------------------------------------------------ atomicity


def failing(error: OSError) -> Callable[..., Any]:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise error

    return fail


NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("existed", [True, False])
def test_a_failing_call_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, existed: bool
) -> None:
    folder = tmp_path / "kv"
    folder.mkdir()
    path = folder / "doc.kv"
    if existed:
        write_container(path, {"old": True}, ARRAYS)
    before = path.read_bytes() if existed else None
    monkeypatch.setattr(os, call, failing(NO_SPACE))
    with pytest.raises(StorageError, match="No space left") as caught:
        write_container(path, META, ARRAYS)
    assert "free disk space" in caught.value.remedy
    assert list(folder.iterdir()) == ([path] if existed else [])
    assert (path.read_bytes() if existed else None) == before


@pytest.mark.parametrize("room", [0, 10, 300, 700])
def test_a_disk_that_fills_up_while_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    folder = tmp_path / "kv"
    folder.mkdir()
    write_container(folder / "doc.kv", {"old": True}, ARRAYS)
    before = (folder / "doc.kv").read_bytes()
    with monkeypatch.context() as patch:
        fill_disk(patch, room, NO_SPACE)
        with pytest.raises(StorageError, match="No space left"):
            write_container(folder / "doc.kv", META, ARRAYS)
    assert list(folder.iterdir()) == [folder / "doc.kv"]
    assert (folder / "doc.kv").read_bytes() == before
    check(folder / "doc.kv")


def test_ctrl_c_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_fd: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_container(tmp_path / "doc.kv", META, ARRAYS)
    assert not [p for p in tmp_path.iterdir() if p.is_file()]


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.EDQUOT, errno.EACCES])
def test_every_failure_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(os, "replace", failing(OSError(code, os.strerror(code))))
    with pytest.raises(StorageError) as caught:
        write_container(tmp_path / "doc.kv", META, ARRAYS)
    assert caught.value.remedy
    assert caught.value.subject.endswith("doc.kv")


def test_a_missing_folder_is_typed(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        write_container(tmp_path / "no" / "doc.kv", META, ARRAYS)


def test_a_reader_keeps_what_it_opened(kv: Path) -> None:
    with Container(kv) as old:
        write_container(kv, {"new": 1}, {"tokens": np.zeros(9, np.int32)})
        np.testing.assert_array_equal(old.array("tokens"), ARRAYS["tokens"])
        old.verify()
    with Container(kv) as new:
        assert new.meta == {"new": 1}


def test_arrays_outlive_the_container(kv: Path) -> None:
    with Container(kv) as container:
        tokens = container.array("tokens")
    np.testing.assert_array_equal(tokens, ARRAYS["tokens"])  # no crash after close


# ------------------------------------------------------------------- many mutations


@pytest.mark.slow
def test_one_hundred_thousand_mutations_give_typed_errors_only(kv: Path, tmp_path: Path) -> None:
    """Half are raw damage, which must always be found; half have their header checksum put right again."""
    rng = np.random.default_rng(20_240_607)
    good = kv.read_bytes()
    payload = good[-(-(PREAMBLE + struct.unpack_from("<I", good, 12)[0]) // ALIGNMENT) * ALIGNMENT :]
    path = tmp_path / "mutated.kv"
    parsed = 0
    for _ in range(50_000):
        bad = mutate_bytes(rng, good)
        path.write_bytes(bad)
        if bad != good:
            with pytest.raises(SnapshotError):
                check(path)
    for _ in range(50_000):
        forge(
            path,
            mutate_json(rng, header_of(good)),
            payload if rng.random() < 0.9 else mutate_bytes(rng, payload),
        )
        try:
            with Container(path) as container:
                parsed += 1
                for name, row in container.sections.items():
                    assert row.offset + row.n_bytes <= path.stat().st_size
                    assert container.array(name).shape == row.shape
        except SnapshotError:
            pass
    assert parsed > 5_000, "the mutations must also reach what lies behind the header"
