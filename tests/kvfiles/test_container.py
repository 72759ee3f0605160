"""The `.kv` container: what is written comes back, and no damage gets past it."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from container_samples import ARRAYS, META, PREAMBLE, check, forge, header_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from mutations import mutate_bytes, mutate_json, overwrite

from kvfiles.container import ALIGNMENT, Container, write_container
from kvfiles.errors import SnapshotCorrupt, SnapshotError

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
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=50)
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
        stretch = container.stretch(names)
        assert stretch.offset == container.sections["0/k"].offset
        assert stretch.offset + stretch.n_bytes == container.sections["0/codes"].offset + 70
        buffer = np.full(stretch.n_bytes + 9, 0xA5, np.uint8)
        for name, got in container.arrays(names, buffer).items():
            np.testing.assert_array_equal(got, ARRAYS[name])
            assert np.shares_memory(got, buffer)
        assert (buffer[stretch.n_bytes :] == 0xA5).all()


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
        overwrite(path, bytes(good))
        good[at] ^= mask
        with pytest.raises(SnapshotError):
            check(path)
    path.write_bytes(good)
    check(path)


def test_every_truncation_is_found(kv: Path, tmp_path: Path) -> None:
    good = kv.read_bytes()
    path = tmp_path / "cut.kv"
    for length in range(len(good)):
        overwrite(path, good[:length])
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
        overwrite(path, bad)
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
