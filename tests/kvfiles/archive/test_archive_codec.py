"""The archive codec in files and contexts: names, lengths, positions, calibrations that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_samples import make_fineness, make_rows, make_tables
from tiny_gguf import TinySpec, write_model
from workbench import Workbench

from kvfiles.codecs import archive_quality, codec_named, from_header, is_codec_name
from kvfiles.codecs.archive.adapting import adapted, corrected, read_deltas, tokens_by_fineness, write_deltas
from kvfiles.codecs.archive.codec import ArchiveCodec
from kvfiles.codecs.archive.entropy import StreamError, base_classes
from kvfiles.codecs.archive.tables import ArchiveTables, OneTables
from kvfiles.codecs.base import CHUNK_TOKENS, ChunkTarget, TensorShape, chunk_starts
from kvfiles.codecs.reference import NumpyKernels, rotate_rows
from kvfiles.compose import Composer
from kvfiles.errors import (
    CalibrationCorrupt,
    CalibrationMissing,
    DecodeError,
    SnapshotCorrupt,
    SnapshotVersion,
)
from kvfiles.kernels import Kernels, NativeKernels, RowTarget, available, best
from kvfiles.positions import RopeTables
from kvfiles.rope import RopeSpec
from kvfiles.runtime import Model, ModelShape
from kvfiles.snapshot import Snapshot, save_snapshot
from kvfiles.state_blob import read_state

compiled = pytest.mark.skipif(
    not any(isinstance(k, NativeKernels) for k in available()), reason="NumPy would take minutes"
)
SMALL = ModelShape(2, 2, 16, 16)


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def tables() -> ArchiveTables:
    return make_tables(n_layer=2)


@pytest.fixture(scope="module")
def ropes() -> RopeTables:
    return RopeTables(RopeSpec("neox", 16, 16, 10000.0), 2)


def through(
    codec: ArchiveCodec,
    arrays: dict[str, Any],
    n: int,
    ropes: RopeTables,
    at: int,
    kernels: Kernels | None = None,
) -> Any:
    """(2, n, 32) K and V at position `at`."""
    decoder = codec.decoder({x: arrays[x] for x in codec.document_names()}, TensorShape(2, n, 32, 32))
    out = np.zeros((2, 2, n, 32), np.float16)
    for row0 in chunk_starts(n):
        row1 = min(row0 + CHUNK_TOKENS, n)
        size = (row1 - row0) * 64
        blobs = [np.zeros(2 * size, np.uint8) for _ in range(2)]
        k, v = (RowTarget(blob, 0, size) for blob in blobs)
        rope = ropes.at(at + row0, row1 - row0)
        chunk = ChunkTarget(row0, row1, k, v, ropes.at(50 + row0, row1 - row0), rope, moved=at != 50)
        decoder.decode({x: arrays[x] for x in decoder.chunk_names(row0)}, chunk, kernels or best())
        for i, blob in enumerate(blobs):
            out[i, :, row0:row1] = blob.view(np.float16).reshape(2, row1 - row0, 32)
    return out


def document(tables: ArchiveTables, n: int, ropes: RopeTables) -> tuple[Any, list[Any], list[Any]]:
    """K without RoPE; K at position 50 and after, and V, by layer."""
    k, v = make_rows(tables, n, seed=n)
    rope = ropes.at(50, n)
    return k, [rotate_rows(x.astype(np.float32), rope).astype(np.float16) for x in k], list(v)


@compiled
@pytest.mark.parametrize("n", [1, 3, 4, 5, 100, CHUNK_TOKENS, CHUNK_TOKENS + 1, 600])
@pytest.mark.parametrize("at", [50, 0, 3000])
def test_any_length_at_any_position(
    n: int, at: int, tables: ArchiveTables, ropes: RopeTables, pool: ThreadPoolExecutor
) -> None:
    plain, k, v = document(tables, n, ropes)
    codec = ArchiveCodec(best(), tables, log_g=0)
    arrays = codec.encode(k, v, ropes.at(50, n), pool)
    got_k, got_v = through(codec, arrays, n, ropes, at)
    want_k = np.stack([rotate_rows(x.astype(np.float32), ropes.at(at, n)) for x in plain])
    limit = 0.5 * 2.5 * 2  # five sigma of an error of a step, the coarsest tokens being twice as coarse
    for got, want in ((got_k, want_k), (got_v, np.stack(v))):
        error = np.abs(got.astype(np.float64) - want)
        assert error.max() < limit
        assert error[:, 0].max() < limit / 5  # the first token is 5.7 times finer


@compiled
def test_a_document_with_classes_of_its_own(
    tables: ArchiveTables, ropes: RopeTables, pool: ThreadPoolExecutor
) -> None:
    """Components that are never or often used here, against the calibration, make the file smaller."""
    n = 1200
    rng = np.random.default_rng(0)
    layers = []
    for decode, mean in ((tables.groups[0].decode_k, tables.groups[0].mean_k),
                         (tables.groups[0].decode_v, tables.groups[0].mean_v)):  # fmt: skip
        spread = 3.0 * (np.arange(32) % 4 == 0)
        c = rng.laplace(size=(2, n, 32)) * spread
        layers.append((c @ decode.astype(np.float64) + mean[:, None]).astype(np.float16))
    k, v = list(layers[0]), list(layers[1])
    codec = ArchiveCodec(best(), tables, log_g=0)
    arrays = codec.encode(k, v, ropes.at(0, n), pool)
    assert len(arrays["adapt"])
    plain = replace_learning(codec).encode(k, v, ropes.at(0, n), pool)
    size, before = (sum(a.nbytes for a in x.values()) for x in (arrays, plain))
    assert size < 0.97 * before
    got = through(codec, arrays, n, ropes, 0)[1]
    assert np.abs(got.astype(np.float64) - np.stack(v)).max() < 2.6


def replace_learning(codec: ArchiveCodec) -> ArchiveCodec:
    """The same codec that takes the calibration's classes."""

    class Plain(ArchiveCodec):
        def _learn(self, coded: Any, n: int) -> Any:
            return self._base, None

    return Plain(best(), codec.tables, log_g=codec.log_g)


def test_what_classes_are_learnt_from() -> None:
    """Tokens of every fineness, in every layer of every group, for each component."""
    tables = make_tables(2, 3, 128, 128)
    fineness = make_fineness(tables, 40)
    tokens = tokens_by_fineness(tables, fineness)
    assert tokens.shape == (8, 2, 768)
    widths = [group.k_width + group.v_width for group in tables.groups]
    for g, start in enumerate(np.cumsum([0, *widths[:-1]])):
        for layer in range(2):
            for level in range(8):
                wanted = (fineness[g, layer] == level - 2).sum()
                assert (tokens[level, layer, start : start + widths[g]] == wanted).all()


def test_class_corrections(tables: ArchiveTables) -> None:
    base = base_classes(tables, 0)
    each = np.exp2((base.astype(float) - 25) / 2)
    tokens = np.random.default_rng(1).integers(0, 10**6, base.shape)  # of every fineness
    usual = (each * tokens).sum(0)
    assert not adapted(base, np.rint(usual).astype(np.int64), tokens).any()
    deltas = adapted(base, np.rint(usual * 4).astype(np.int64), tokens)
    assert (deltas == 4).all()
    nothing = np.zeros(base.shape[1:], np.int64)
    few = np.zeros_like(base, np.int64)
    few[2] = 64
    assert (np.abs(adapted(base, nothing, few)) <= 2).all()  # too little to know
    assert not adapted(base, nothing, 0 * few).any()
    deltas = np.random.default_rng(0).integers(-6, 7, base.shape[1:])
    classes, stream = write_deltas(tables, base, deltas)
    np.testing.assert_array_equal(classes, corrected(base, deltas))
    np.testing.assert_array_equal(read_deltas(tables, base, stream), classes)
    for bad in (stream[:-1], stream[:-2], stream[:10], np.append(stream, [0, 0]).astype(np.uint8)):
        with pytest.raises(StreamError):
            read_deltas(tables, base, bad)
    with pytest.raises(StreamError, match="range"):
        read_deltas(tables, base, write_deltas(tables, base, deltas + 7)[1])


@compiled
@pytest.mark.parametrize("log_g", [-256, 0, 256])
def test_the_estimate_of_the_size(
    log_g: int, tables: ArchiveTables, ropes: RopeTables, pool: ThreadPoolExecutor
) -> None:
    """Of a document like the calibration's: coefficients drawn from the classes."""
    codec = ArchiveCodec(best(), tables, log_g=log_g)
    spread = np.exp2((codec._base[2, :, :32].astype(float) - 25) / 2) * 0.5 * 2 ** (log_g / 256)
    c = np.random.default_rng(0).laplace(size=(2, 800, 32)) * spread[:, None]
    rows = [c[i] @ tables.groups[0].decode_k[i].astype(float) + tables.groups[0].mean_k[i] for i in range(2)]
    arrays = codec.encode([x.astype(np.float16) for x in rows], [np.zeros((800, 32), np.float16)] * 2,
                          ropes.at(0, 800), pool)  # fmt: skip
    assert sum(a.nbytes for a in arrays.values()) > 0
    assert 0 < codec.bits_per_value(10**6, 32, 32) <= codec.bits_per_value(100, 32, 32) < 16


def test_names(tables: ArchiveTables) -> None:
    assert codec_named("archive", SMALL, best(), tables).params().keys() == {"version", "log_g", "tables"}
    assert [archive_quality(x) for x in ("archive-fine", "archive@2", "archive@0.25", "k4v4")] == [
        150,
        256,
        -512,
        None,
    ]
    for name in ("archive", "archive-fine", "archive-small", "archive@1.35", "archive@8"):
        assert is_codec_name(name)
        codec = codec_named(name, SMALL, best(), tables)
        again = from_header("archive", dict(codec.params()), SMALL, best(), "f.kv", OneTables(tables))
        assert again.params() == codec.params()
    for name in (
        "archive@",
        "archive@9",
        "archive@0.1",
        "archive@1e0",
        "archive@-1",
        "archive-",
        "archive@1.23456",
    ):
        assert not is_codec_name(name)
        with pytest.raises(ValueError, match="codec"):
            codec_named(name, SMALL, best(), tables)


def test_without_its_calibration(tables: ArchiveTables) -> None:
    params = dict(codec_named("archive", SMALL, best(), tables).params())
    with pytest.raises(CalibrationMissing, match="beyondrag models calibrate"):
        codec_named("archive", SMALL, best())
    with pytest.raises(CalibrationMissing):
        from_header("archive", params, SMALL, best(), "f.kv")
    with pytest.raises(CalibrationMissing):
        from_header("archive", params, SMALL, best(), "f.kv", OneTables(replace(tables, shrink=0.2)))
    with pytest.raises(CalibrationCorrupt, match="another model"):
        from_header("archive", params, ModelShape(2, 1, 32, 32), best(), "f.kv", OneTables(tables))
    for version in (3, 5):
        with pytest.raises(SnapshotVersion, match="version"):
            from_header("archive", params | {"version": version}, SMALL, best(), "f.kv", OneTables(tables))
    for change in (
        {"version": None},
        {"log_g": 769},
        {"log_g": None},
        {"log_g": "x"},
    ):
        with pytest.raises(SnapshotCorrupt, match=r"f\.kv"):
            from_header("archive", params | change, SMALL, best(), "f.kv", OneTables(tables))
    del params["log_g"]
    with pytest.raises(SnapshotCorrupt):
        from_header("archive", params, SMALL, best(), "f.kv", OneTables(tables))


def test_a_cache_that_is_not_finite(
    tables: ArchiveTables, ropes: RopeTables, pool: ThreadPoolExecutor
) -> None:
    _, k, v = document(tables, 6, ropes)
    k[1][5, 3] = np.nan
    with pytest.raises(DecodeError, match="finite"):
        ArchiveCodec(best(), tables, log_g=0).encode(k, v, ropes.at(50, 6), pool)


@compiled
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_through_files_into_a_context(threads: int, tmp_path: Path) -> None:
    """Compiled placing, several documents and codecs at once: the same cells as one thread of Python."""
    spec = TinySpec("qwen2", 64, n_head=4, n_kv_head=2, n_layer=3)
    model = Model(write_model(tmp_path / "tiny.gguf", spec))
    tables = make_tables(n_layer=3, n_head=2, k_dim=64, v_dim=64)
    bench = Workbench(model)
    tokens = [np.arange(400, dtype=np.int32) % 90 + 20, np.arange(300, dtype=np.int32) % 70 + 10]
    with bench.context(1024) as context:
        paths = []
        for i, codec in enumerate(("archive-fine", "k4v4")):
            context.clear()
            context.decode(tokens[i], 0, logits="none")
            coder = codec_named(codec, model.shape, bench.kernels, tables)
            path = tmp_path / f"{i}.kv"
            paths.append(path)
            save_snapshot(
                path, bench.state(context), tokens[i], first=0, codec=coder, tables=bench.tables,
                shape=model.shape, rope=model.rope.describe(), profile="p", about={}, pool=bench.pool,
            )  # fmt: skip
        found = []
        for composer in (
            Composer(model.shape, bench.tables, bench.kernels, threads),
            Composer(model.shape, bench.tables, plain(bench.kernels), 1),
        ):
            context.clear()
            with ExitStack() as stack:
                parts = [stack.enter_context(Snapshot(p, bench.kernels, OneTables(tables))) for p in paths]
                composer.attach(context, parts)
            state = read_state(context.state(0), model.architecture)
            found.append((np.stack(state.k), np.stack(state.v)))
        np.testing.assert_array_equal(found[0][0], found[1][0])
        np.testing.assert_array_equal(found[0][1], found[1][1])
        forged(paths[0], tables, bench, context)
        with pytest.raises(CalibrationMissing):
            Snapshot(paths[0], bench.kernels)
    bench.close()
    model.close()


def plain(kernels: Kernels) -> Any:
    """The same kernels, of which placing does not know that they are compiled."""

    class Plain:
        def __getattr__(self, name: str) -> Any:
            return getattr(kernels, name)

    return Plain()


def forged(path: Path, tables: ArchiveTables, bench: Workbench, context: Any) -> None:
    """Codes that make no sense under checksums that hold."""
    from kvfiles.container import Container, write_container

    with Container(path) as container:
        meta, arrays = dict(container.meta), container.arrays(list(container.sections))
    codes = arrays["256/codes"].copy()
    codes[80:] ^= 0x55
    bad = path.with_name("bad.kv")
    write_container(bad, meta, {**arrays, "256/codes": codes})
    context.clear()
    with (
        Snapshot(bad, bench.kernels, OneTables(tables)) as snapshot,
        pytest.raises(SnapshotCorrupt, match=r"bad\.kv"),
    ):
        bench.composer.attach(context, [snapshot])


def test_numpy_alone_is_a_whole_codec(
    tables: ArchiveTables, ropes: RopeTables, pool: ThreadPoolExecutor
) -> None:
    _, k, v = document(tables, 9, ropes)
    numpy = NumpyKernels()
    codec = ArchiveCodec(numpy, tables, log_g=0)
    got = through(codec, codec.encode(k, v, ropes.at(50, 9), pool), 9, ropes, 50, numpy)
    assert np.abs(got[1].astype(np.float64) - np.stack(v)).max() < 2.6
