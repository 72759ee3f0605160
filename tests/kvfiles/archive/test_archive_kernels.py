"""Compiled kernels against the NumPy definition, and how far instruction sets drift apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from archive_samples import make_rows, make_tables

from kvfiles.codecs.archive.entropy import base_classes
from kvfiles.codecs.archive.reference import decode_section
from kvfiles.codecs.archive.tables import ArchiveTables
from kvfiles.codecs.reference import NumpyKernels, quantise_q8, rotate_rows
from kvfiles.kernels import ArchiveChunk, Kernels, NativeKernels, RowTarget, available
from kvfiles.positions import RopeTables, RowRope
from kvfiles.rope import RopeSpec

NATIVE = [kernels for kernels in available() if isinstance(kernels, NativeKernels)]
TRADE = 0.12
SHAPES = {
    "one group": {},
    "several groups, odd blocks": {"n_layer": 2, "n_head": 7, "k_dim": 72, "v_dim": 72},
    "unequal K and V": {"n_layer": 2, "n_head": 3, "k_dim": 24, "v_dim": 40},
    "one layer": {"n_layer": 1, "n_head": 1, "k_dim": 8, "v_dim": 8},
}


def upright(tables: ArchiveTables, n: int) -> RowRope:
    """No rotation."""
    shape = (n, tables.shape.k_head_dim)
    return RowRope(
        np.ones(shape, np.float32), np.zeros(shape, np.float32), tables.shape.n_kv_head, shape[1], True
    )


def coded(kernels: Kernels, tables: ArchiveTables, n: int, log_g: int = 20) -> tuple[ArchiveChunk, Any]:
    model = kernels.archive_model(tables, encoding=True)
    k, v = make_rows(tables, n)
    base, scale = base_classes(tables, log_g), float(np.float32(2 ** (log_g / 256)))
    found = kernels.encode_archive(model, k, v, upright(tables, n), base, scale, TRADE)
    assert found is not None
    return ArchiveChunk(found[0], n, base, scale), found[1]


def decoded(
    kernels: Kernels, tables: ArchiveTables, chunk: ArchiveChunk, rope: RowRope | None = None
) -> tuple[Any, Any]:
    """(L, n, width) f16 K and V."""
    shape, n = tables.shape, chunk.n_rows
    sizes = [n * width * 2 for width in (shape.k_width, shape.v_width)]
    blobs = [np.zeros(size * shape.n_layer, np.uint8) for size in sizes]
    model = kernels.archive_model(tables, encoding=False)
    targets = [RowTarget(blob, 0, size) for blob, size in zip(blobs, sizes, strict=True)]
    kernels.decode_archive(model, chunk, rope or upright(tables, n), *targets)
    k, v = (blob.view(np.float16).reshape(shape.n_layer, n, -1) for blob in blobs)
    return k, v


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("n", [1, 5, 19])
def test_every_implementation_reads_every_other(kernels: Kernels, shape: dict[str, int], n: int) -> None:
    """To one rounding of f16; the range coder's end proves that every symbol was the same."""
    tables = make_tables(**shape)
    for writer in available():
        chunk, _ = coded(writer, tables, n)
        want = decode_section(tables, chunk.section, chunk.base, chunk.scale, n)
        for got, exact in zip(decoded(kernels, tables, chunk), want, strict=True):
            assert np.abs(got - exact).max() <= np.abs(exact).max() / 1000


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_encoders_choose_alike(shape: dict[str, int]) -> None:
    """Not bit for bit: a coefficient on the edge may fall to either side."""
    tables = make_tables(**shape)
    _, want = coded(NumpyKernels(), tables, 25)
    for kernels in NATIVE:
        _, got = coded(kernels, tables, 25)
        assert np.abs(got - want).sum() <= 0.02 * want.sum()


def test_the_error_is_that_of_the_step(kernels: Kernels) -> None:
    """With orthogonal transforms the mean square error is near step^2/12 and below that of dead zones."""
    tables = make_tables()
    k, v = make_rows(tables, 40)
    chunk, magnitudes = coded(kernels, tables, 40)
    assert magnitudes.shape == chunk.base.shape
    for got, want in zip(decoded(kernels, tables, chunk), (k, v), strict=True):
        error = (got.astype(np.float64) - want).std()
        assert 0.5 * 0.5 / np.sqrt(12) < error < 1.6 * 0.5 / np.sqrt(12) * chunk.scale


@pytest.mark.skipif(not NATIVE, reason="nothing was compiled on this machine")
def test_drift_between_instruction_sets_stays_far_below_f16() -> None:
    """After 28 layers of closed-loop prediction.

    Rounding to f16 on the way out hides small differences or shows them as a whole unit, and does so in
    proportion: the mean difference of rounded values is that of the exact ones.
    """
    tables = make_tables(n_layer=28, n_head=2, k_dim=64, v_dim=64)
    chunk, _ = coded(NATIVE[0], tables, 48)
    exact = decode_section(tables, chunk.section, chunk.base, chunk.scale, 48)
    rounded = [rows.astype(np.float16).astype(np.float64) for rows in exact]
    for kernels in NATIVE:
        for got, want in zip(decoded(kernels, tables, chunk), rounded, strict=True):
            for layer in range(28):
                drift = np.abs(got[layer] - want[layer]).mean()
                assert drift < 1e-4 * np.sqrt((want[layer] ** 2).mean())


@pytest.mark.skipif(not {"avx512", "avx2"} <= {k.name for k in NATIVE}, reason="needs AVX-512")
def test_fused_multiply_add_gives_the_same_bits() -> None:
    tables = make_tables(n_layer=6, n_head=3, k_dim=80, v_dim=80)
    wide, narrow = (k for k in NATIVE if k.name in ("avx512", "avx2"))
    chunk, _ = coded(wide, tables, 33)
    assert bytes(coded(narrow, tables, 33)[0].section) == bytes(chunk.section)
    for a, b in zip(decoded(wide, tables, chunk), decoded(narrow, tables, chunk), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("pairing", ["neox", "norm"])
def test_keys_are_turned_to_their_position(kernels: Kernels, pairing: Any) -> None:
    tables = make_tables(n_head=2, k_dim=16, v_dim=16)
    rope = RopeTables(RopeSpec(pairing, 16, 16, 10000.0), 2).at(1000, 9)
    chunk, _ = coded(kernels, tables, 9)
    k, v = decode_section(tables, chunk.section, chunk.base, chunk.scale, 9)
    got_k, got_v = decoded(kernels, tables, chunk, rope)
    for layer in range(3):
        want = rotate_rows(k[layer], rope)
        np.testing.assert_allclose(got_k[layer], want, atol=np.abs(want).max() / 1000)
        np.testing.assert_allclose(got_v[layer], v[layer], atol=np.abs(v).max() / 1000)


def test_into_a_q8_cache(kernels: Kernels) -> None:
    tables = make_tables(n_head=2, k_dim=64, v_dim=64)
    chunk, _ = coded(kernels, tables, 7)
    size = 7 * 128 // 32 * 34
    blobs = [np.zeros(3 * size, np.uint8) for _ in range(2)]
    targets = [RowTarget(blob, 0, size, True, 64) for blob in blobs]
    model = kernels.archive_model(tables, encoding=False)
    kernels.decode_archive(model, chunk, upright(tables, 7), *targets)
    k, v = decode_section(tables, chunk.section, chunk.base, chunk.scale, 7)
    for rows, blob in ((k, blobs[0]), (v, blobs[1])):
        for layer in range(3):
            want = quantise_q8(rows[layer], 64).reshape(-1)
            got = blob[layer * size : (layer + 1) * size]
            assert (np.abs(got.astype(np.int8).astype(int) - want.astype(np.int8)) > 1).mean() < 0.01


@pytest.mark.parametrize("value", [np.inf, np.nan, 60000.0])
def test_rows_that_cannot_be_coded(kernels: Kernels, value: float) -> None:
    tables = make_tables()
    k, v = make_rows(tables, 3)
    v[1, 2, 5] = value
    model, base = kernels.archive_model(tables, encoding=True), base_classes(tables, 0)
    assert kernels.encode_archive(model, k, v, upright(tables, 3), base, 1.0, TRADE) is None


def test_a_quality_too_fine_for_the_format(kernels: Kernels) -> None:
    """Coefficients beyond what a stream can say are refused, not clipped."""
    tables = make_tables()
    k, v = make_rows(tables, 3)
    model, base = kernels.archive_model(tables, encoding=True), base_classes(tables, 0)
    assert kernels.encode_archive(model, k, v, upright(tables, 3), base, 1e-2, TRADE) is not None
    assert kernels.encode_archive(model, k, v, upright(tables, 3), base, 1e-5, TRADE) is None
