"""Compiled kernels against the NumPy definition, and how far instruction sets drift apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from archive_samples import even, make_fineness, make_rows, make_tables, natives
from numpy.typing import NDArray

from kvfiles.codecs.archive.entropy import FINEST, HIGHEST, LOWEST, Encoder, base_classes, classes_of
from kvfiles.codecs.archive.reference import decode_section
from kvfiles.codecs.archive.tables import ArchiveTables
from kvfiles.codecs.base import CHUNK_TOKENS
from kvfiles.codecs.reference import NumpyKernels, quantise_q8, rotate_rows
from kvfiles.kernels import ArchiveChunk, Kernels, RowTarget, available
from kvfiles.positions import RopeTables, RowRope
from kvfiles.rope import RopeSpec

NATIVE = [kernels.name for kernels in natives()]
compiled = pytest.mark.skipif(not NATIVE, reason="nothing was compiled on this machine")
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


def coded(
    kernels: Kernels,
    tables: ArchiveTables,
    n: int,
    log_g: int = 20,
    fineness: NDArray[np.int8] | None = None,
) -> tuple[ArchiveChunk, Any]:
    """A chunk, and its magnitudes; every `fineness` unless told."""
    model = kernels.archive_model(tables, encoding=True)
    k, v = make_rows(tables, n)
    base, scale = base_classes(tables, log_g), float(np.float32(2 ** (log_g / 256)))
    fine = make_fineness(tables, n) if fineness is None else fineness
    found = kernels.encode_archive(model, k, v, upright(tables, n), base, scale, fine)
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


@compiled
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("n", [1, 2, 25])
def test_what_was_decoded_is_written_again(shape: dict[str, int], n: int) -> None:
    """Decoded rows have coefficients far from the edges of rounding: all encoders write the same bytes."""
    tables = make_tables(**shape)
    numpy = NumpyKernels()
    fineness = np.minimum(make_fineness(tables, n), FINEST)  # a sink's steps are finer than f16 is
    first, _ = coded(numpy, tables, n, fineness=fineness)
    k, v = (
        rows.astype(np.float16) for rows in decode_section(tables, first.section, first.base, first.scale, n)
    )
    for kernels in (numpy, *natives()):
        model = kernels.archive_model(tables, encoding=True)
        again = kernels.encode_archive(model, k, v, upright(tables, n), first.base, first.scale, fineness)
        assert again is not None
        assert bytes(again[0]) == bytes(first.section)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_sink_leaves_what_follows_alone(kernels: Kernels, shape: dict[str, int]) -> None:
    """Sinks are far out: nothing is predicted from one, and a document's classes are not learnt from it."""
    tables, n = with_rho(make_tables(**shape), lambda j: np.full(len(j), 0.9)), 12
    fineness = even(tables, n)
    fineness[..., 5] = HIGHEST
    model, base = kernels.archive_model(tables, encoding=True), base_classes(tables, 20)
    found = []
    for factor in (1, 30):
        k, v = (rows.copy() for rows in make_rows(tables, n))
        k[:, 5] *= factor
        v[:, 5] *= factor
        section, magnitudes = kernels.encode_archive(
            model, k, v, upright(tables, n), base, 1.0, fineness
        ) or pytest.fail("not encoded")
        rows = decoded(kernels, tables, ArchiveChunk(section, n, base, 1.0))
        found.append((magnitudes, *(np.delete(part, 5, axis=1) for part in rows)))
    for near, far in zip(*found, strict=True):
        np.testing.assert_array_equal(near, far)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_encoders_choose_alike(shape: dict[str, int]) -> None:
    """Not bit for bit: a coefficient on the edge may fall to either side."""
    tables = make_tables(**shape)
    _, want = coded(NumpyKernels(), tables, 25)
    for kernels in natives():
        _, got = coded(kernels, tables, 25)
        assert np.abs(got - want).sum() <= 0.02 * want.sum()


def test_the_error_is_that_of_the_step(kernels: Kernels) -> None:
    """With orthogonal transforms the mean square error is near step^2/12."""
    tables = make_tables()
    k, v = make_rows(tables, 40)
    chunk, magnitudes = coded(kernels, tables, 40, fineness=even(tables, 40))
    assert magnitudes.shape == chunk.base.shape[1:]
    for got, want in zip(decoded(kernels, tables, chunk), (k, v), strict=True):
        error = (got.astype(np.float64) - want).std()
        assert 0.5 * 0.5 / np.sqrt(12) < error < 1.6 * 0.5 / np.sqrt(12) * chunk.scale


@pytest.mark.parametrize("fine", range(LOWEST, HIGHEST + 1))
def test_each_token_has_the_error_of_its_own_fineness(kernels: Kernels, fine: int) -> None:
    """One token in two: its error is that of step * 2**(-fineness / 2), of the others nothing changes."""
    tables = make_tables(n_layer=1)
    n = 40
    fineness = even(tables, n)
    fineness[..., ::2] = fine
    rows = make_rows(tables, n)
    chunk, _ = coded(kernels, tables, n, 0, fineness)
    group = tables.groups[0]
    for got, want, step in zip(
        decoded(kernels, tables, chunk), rows, (group.step_k, group.step_v), strict=True
    ):
        error = got.astype(np.float64) - want
        for rows_of, factor in ((error[0, ::2], 2 ** (-fine / 2)), (error[0, 1::2], 1.0)):
            usual = factor * step[0] / np.sqrt(12)
            assert 0.4 * usual < rows_of.std() < 1.3 * usual + 2e-3  # small coefficients, and f16


@compiled
def test_drift_between_instruction_sets_stays_far_below_f16() -> None:
    """After 28 layers of closed-loop prediction.

    Rounding to f16 on the way out hides small differences or shows them as a whole unit, and does so in
    proportion: the mean difference of rounded values is that of the exact ones.
    """
    tables = make_tables(n_layer=28, n_head=2, k_dim=64, v_dim=64)
    chunk, _ = coded(natives()[0], tables, 48)
    exact = decode_section(tables, chunk.section, chunk.base, chunk.scale, 48)
    rounded = [rows.astype(np.float16).astype(np.float64) for rows in exact]
    for kernels in natives():
        for got, want in zip(decoded(kernels, tables, chunk), rounded, strict=True):
            for layer in range(28):
                drift = np.abs(got[layer] - want[layer]).mean()
                assert drift < 1e-4 * np.sqrt((want[layer] ** 2).mean())


def with_rho(tables: ArchiveTables, of: Callable[[NDArray[np.int64]], NDArray[np.float64]]) -> ArchiveTables:
    """The same tables with rho = of(component)."""
    groups = []
    for group in tables.groups:
        rho = {
            name: np.tile(of(np.arange(width)), (tables.shape.n_layer, 1)).astype(np.float16)
            for name, width in (("rho_k", group.k_width), ("rho_v", group.v_width))
        }
        groups.append(replace(group, **rho))
    return replace(tables, groups=tuple(groups))


@compiled
def test_drift_along_the_tokens_of_a_chunk_stays_as_small() -> None:
    """Every coefficient is carried on by 0.9, with either sign, over a whole chunk: as `test_drift...`."""
    tables = with_rho(make_tables(n_layer=3, n_head=2, k_dim=32, v_dim=32), lambda j: 0.9 * (-1.0) ** j)
    chunk, _ = coded(natives()[0], tables, CHUNK_TOKENS)
    exact = decode_section(tables, chunk.section, chunk.base, chunk.scale, CHUNK_TOKENS)
    for kernels in natives():
        for got, rows in zip(decoded(kernels, tables, chunk), exact, strict=True):
            want = rows.astype(np.float16).astype(np.float64)
            drift = np.abs(got - want).mean((0, 2))
            assert drift[:32].mean() < 1e-4 * np.sqrt((want**2).mean())
            assert drift[-32:].mean() < 1e-4 * np.sqrt((want**2).mean())


def test_what_is_not_told_again_fades(kernels: Kernels) -> None:
    """Only the first token has symbols: token t decodes to rho^t of it, at last to the mean alone."""
    tables = with_rho(make_tables(n_layer=1, shrink=0.25), lambda j: np.linspace(-0.9, 0.9, len(j)))
    group = tables.groups[0]
    tables = replace(tables, groups=(replace(group, predict_v0=np.zeros_like(group.predict_v0)),))
    n, width = CHUNK_TOKENS, group.k_width
    q = np.zeros((2, n, width), np.int64)
    q[:, 0] = np.random.default_rng(0).integers(-30, 31, (2, width))
    base, writer, prior = base_classes(tables, 0), Encoder(tables.freq), np.zeros(n, np.int64)
    writer.tensor(np.zeros((1, n), np.int64), np.full((1, n), tables.fineness_class, np.uint8))
    even_base = base[-LOWEST, 0]
    for tensor, classes_at in zip(q, (even_base[:width], even_base[width:]), strict=True):
        classes, prior = classes_of(tensor, classes_at, tables.expected, prior)
        writer.tensor(tensor, classes)
    stream = writer.stream().view(np.uint8)
    head = np.array([len(stream) // 2 - 32], "<u4").view(np.uint8)
    got = decoded(kernels, tables, ArchiveChunk(np.concatenate([head, stream]), n, base, 1.0))
    group = tables.groups[0]
    sides = (
        (group.rho_k, group.step_k, group.decode_k, group.mean_k),
        (group.rho_v, group.step_v, group.decode_v, group.mean_v),
    )
    for rows, first, (rho, step, decode, mean) in zip(got, q[:, 0], sides, strict=True):
        start = (first - 0.25 * np.sign(first)) * float(step[0])
        faded = rho[0].astype(np.float64) ** np.arange(n)[:, None]
        want = (start * faded) @ decode[0].astype(np.float64) + mean[0]
        np.testing.assert_allclose(rows[0], want, atol=2e-3 * np.abs(want).max())
        np.testing.assert_array_equal(rows[0, -1], mean[0].astype(np.float16))


@pytest.mark.skipif(not {"avx512", "avx2"} <= set(NATIVE), reason="needs AVX-512")
def test_fused_multiply_add_gives_the_same_bits() -> None:
    tables = make_tables(n_layer=6, n_head=3, k_dim=80, v_dim=80)
    wide, narrow = (k for k in natives() if k.name in ("avx512", "avx2"))
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
    assert kernels.encode_archive(model, k, v, upright(tables, 3), base, 1.0, even(tables, 3)) is None


def test_a_quality_too_fine_for_the_format(kernels: Kernels) -> None:
    """Coefficients beyond what a stream can say are refused, not clipped."""
    tables = make_tables()
    k, v = make_rows(tables, 3)
    model, base = kernels.archive_model(tables, encoding=True), base_classes(tables, 0)
    assert kernels.encode_archive(model, k, v, upright(tables, 3), base, 1e-2, even(tables, 3)) is not None
    assert kernels.encode_archive(model, k, v, upright(tables, 3), base, 1e-5, even(tables, 3)) is None
