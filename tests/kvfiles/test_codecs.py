"""The codecs as such: names, accounting, how chunks lie in the file, and the error they make."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kvfiles.codecs import DEFAULT_CODEC, ExactCodec, RotatedCodec, codec_named, from_header
from kvfiles.codecs.base import CHUNK_TOKENS, ChunkTarget, Codec, TensorShape, chunk_starts
from kvfiles.codecs.reference import rotate_rows
from kvfiles.errors import SnapshotCorrupt, SnapshotVersion
from kvfiles.kernels import RowTarget, best
from kvfiles.positions import RopeTables
from kvfiles.rope import RopeSpec
from kvfiles.runtime import ModelShape

F16 = NDArray[np.float16]

F16_NOISE = 2e-5
"""Mean square of rounding values around 5 to f16, some of them twice."""

DEFAULT_SHAPE = ModelShape(28, 2, 128, 128)
SMALL = ModelShape(2, 2, 64, 64)


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def tables() -> RopeTables:
    return RopeTables(RopeSpec("neox", 64, 64, 10000.0), 2)


def values(n: int) -> list[F16]:
    """Two layers of rows whose channels differ much in their mean and vary by 1."""
    rng = np.random.default_rng(n)
    return [
        (5 * rng.standard_normal(128) + rng.standard_normal((n, 128))).astype(np.float16) for _ in range(2)
    ]


def keys(n: int, tables: RopeTables) -> list[F16]:
    """The same, standing at position 50 and after."""
    return [rotate_rows(rows.astype(np.float32), tables.at(50, n)).astype(np.float16) for rows in values(n)]


def through(
    codec: Codec, k: list[F16], v: list[F16], tables: RopeTables, pool: ThreadPoolExecutor, at: int
) -> Any:
    """(2, n, 128) K and V after encoding at position 50 and decoding chunk by chunk at position `at`."""
    n = len(k[0])
    arrays = codec.encode(k, v, tables.at(50, n), pool)
    decoder = codec.decoder(
        {name: arrays[name] for name in codec.document_names()}, TensorShape(2, n, 128, 128)
    )
    k_out, v_out = np.zeros((2, n, 128), np.float16), np.zeros((2, n, 128), np.float16)
    for row0 in chunk_starts(n):
        row1 = min(row0 + CHUNK_TOKENS, n)
        size = (row1 - row0) * 256
        blobs = [np.zeros(2 * size, np.uint8) for _ in range(2)]
        stored, target = tables.at(50 + row0, row1 - row0), tables.at(at + row0, row1 - row0)
        chunk = ChunkTarget(
            row0,
            row1,
            RowTarget(blobs[0], 0, size),
            RowTarget(blobs[1], 0, size),
            stored,
            target,
            moved=at != 50,
        )
        decoder.decode({name: arrays[name] for name in decoder.chunk_names(row0)}, chunk, best())
        for out, blob in ((k_out, blobs[0]), (v_out, blobs[1])):
            out[:, row0:row1] = blob.view(np.float16).reshape(2, row1 - row0, 128)
    return k_out, v_out


@pytest.mark.parametrize("name", ["exact", "k4v4", "k2v8", "k8v2", DEFAULT_CODEC])
def test_names(name: str) -> None:
    codec = codec_named(name, SMALL, best())
    if isinstance(codec, RotatedCodec):
        assert f"k{codec.k_bits}v{codec.v_bits}" == name
    again = from_header(codec.name, codec.params(), SMALL, best(), "file.kv")
    assert type(again) is type(codec)
    assert again.params() == codec.params()


@pytest.mark.parametrize("name", ["", "k1v4", "k9v4", "k4", "K4V4", "k4v4 ", "k44v4", "rotated", "../k4v4"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(ValueError, match="codec"):
        codec_named(name, SMALL, best())


def test_a_codec_from_the_future_and_a_broken_one() -> None:
    with pytest.raises(SnapshotVersion):
        from_header("klt", {}, SMALL, best(), "file.kv")
    good = codec_named("k4v4", SMALL, best()).params()
    for change in ({"k_bits": 9}, {"n_sink": -1}, {"k_head_dim": 128}, {"surprise": 1}, {"v_bits": "four"}):
        with pytest.raises(SnapshotCorrupt, match=r"file\.kv"):
            from_header("rotated", {**good, **change}, SMALL, best(), "file.kv")


@pytest.mark.parametrize(
    ("name", "bits"), [("k4v4", 4.125), ("k5v4", 4.625), ("k4v3", 3.625), ("k3v3", 3.125)]
)
def test_bits_per_value_of_a_long_document(name: str, bits: float) -> None:
    """Codes and one byte of scale for 64 values; means and first tokens fade with the length."""
    codec = codec_named(name, DEFAULT_SHAPE, best())
    assert bits < codec.bits_per_value(4096, 256, 256) < bits + 0.025
    assert codec.bits_per_value(10**9, 256, 256) == pytest.approx(bits, abs=1e-5)
    assert ExactCodec().bits_per_value(7, 256, 256) == 16.0


def test_the_default_keeps_within_its_budget() -> None:
    assert codec_named(DEFAULT_CODEC, DEFAULT_SHAPE, best()).bits_per_value(2000, 256, 256) <= 4.7


@pytest.mark.parametrize("n", [1, 3, 4, 5, CHUNK_TOKENS, CHUNK_TOKENS + 1, CHUNK_TOKENS + 3, 600])
def test_exact_is_exact_in_place(n: int, tables: RopeTables, pool: ThreadPoolExecutor) -> None:
    k, v = keys(n, tables), values(n)
    got_k, got_v = through(ExactCodec(), k, v, tables, pool, 50)
    np.testing.assert_array_equal(got_k, np.stack(k))
    np.testing.assert_array_equal(got_v, np.stack(v))


@pytest.mark.parametrize("n", [1, 3, 4, 5, CHUNK_TOKENS, CHUNK_TOKENS + 1, CHUNK_TOKENS + 3, 600])
@pytest.mark.parametrize("at", [50, 0, 3000])
def test_rotated_is_near_everywhere_and_exact_at_the_start(
    n: int, at: int, tables: RopeTables, pool: ThreadPoolExecutor
) -> None:
    k, v = keys(n, tables), values(n)
    want_k, want_v = through(ExactCodec(), k, v, tables, pool, at)
    got_k, got_v = through(codec_named("k5v4", SMALL, best()), k, v, tables, pool, at)
    np.testing.assert_array_equal(got_k[:, :4], want_k[:, :4])
    np.testing.assert_array_equal(got_v[:, :4], want_v[:, :4])
    if n > 100:
        error_k = ((got_k[:, 4:].astype(np.float64) - want_k[:, 4:]) ** 2).mean()
        error_v = ((got_v[:, 4:].astype(np.float64) - want_v[:, 4:]) ** 2).mean()
        assert error_k < 1.05 * 0.0025 + F16_NOISE
        assert error_v < 1.05 * 0.0095 + F16_NOISE


def test_the_arrays_of_a_chunk_lie_together(tables: RopeTables, pool: ThreadPoolExecutor) -> None:
    """So that one read brings a chunk, and nothing of its neighbours."""
    for codec in (ExactCodec(), codec_named("k5v3", SMALL, best())):
        n = 2 * CHUNK_TOKENS + 9
        arrays = codec.encode(keys(n, tables), values(n), tables.at(50, n), pool)
        document = codec.document_names()
        decoder = codec.decoder({name: arrays[name] for name in document}, TensorShape(2, n, 128, 128))
        order = list(arrays)
        seen = set(document)
        for row0 in chunk_starts(n):
            places = sorted(order.index(name) for name in decoder.chunk_names(row0))
            assert places == list(range(places[0], places[0] + len(places)))
            seen |= set(decoder.chunk_names(row0))
        assert seen == set(order), "every array belongs to the document or to one chunk"
        for array in arrays.values():
            assert array.flags.c_contiguous


def test_chunk_starts() -> None:
    assert list(chunk_starts(1)) == [0]
    assert list(chunk_starts(CHUNK_TOKENS)) == [0]
    assert list(chunk_starts(CHUNK_TOKENS + 1)) == [0, CHUNK_TOKENS]


@pytest.mark.parametrize("n_sink", [0, 1, 1024])
def test_any_number_of_exact_first_tokens(n_sink: int, tables: RopeTables, pool: ThreadPoolExecutor) -> None:
    """Also more than the document or a chunk has."""
    n = CHUNK_TOKENS + 50
    codec = RotatedCodec(best(), k_bits=3, v_bits=3, n_sink=n_sink, k_head_dim=64, v_head_dim=64)
    k, v = keys(n, tables), values(n)
    got_k, got_v = through(codec, k, v, tables, pool, 50)
    exact = min(n_sink, n)
    np.testing.assert_array_equal(got_k[:, :exact], np.stack(k)[:, :exact])
    np.testing.assert_array_equal(got_v[:, :exact], np.stack(v)[:, :exact])
    assert np.abs(got_v.astype(np.float64) - np.stack(v)).max() < 2.0
