"""Streams from anybody: a typed error or finite rows, whatever the bytes are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from archive_samples import make_fineness, make_rows, make_tables, natives

from kvfiles.codecs.archive.entropy import HIGHEST, LOWEST, Encoder, base_classes, classes_of
from kvfiles.codecs.archive.reference import LARGEST, decode_section
from kvfiles.codecs.archive.tables import ArchiveTables
from kvfiles.kernels import ArchiveChunk, Kernels, RowTarget
from kvfiles.positions import RowRope

N = 9
compiled = pytest.mark.skipif(not natives(), reason="nothing was compiled on this machine")


def rope(tables: ArchiveTables) -> RowRope:
    size = (N, tables.shape.k_head_dim)
    return RowRope(
        np.ones(size, np.float32), np.zeros(size, np.float32), tables.shape.n_kv_head, size[1], True
    )


def section(tables: ArchiveTables, kernels: Kernels) -> np.ndarray:
    k, v = make_rows(tables, N)
    model = kernels.archive_model(tables, encoding=True)
    coded = kernels.encode_archive(
        model, k, v, rope(tables), base_classes(tables, 0), 1.0, make_fineness(tables, N)
    )
    assert coded is not None
    return coded[0]


def decodes(tables: ArchiveTables, kernels: Kernels, bytes_: np.ndarray) -> bool:
    """Whether `bytes_` decode; the rows are finite then."""
    shape = tables.shape
    size = N * shape.k_width * 2
    blob = np.zeros(2 * shape.n_layer * size, np.uint8)
    chunk = ArchiveChunk(bytes_, N, base_classes(tables, 0), 1.0)
    k, v = RowTarget(blob, 0, size), RowTarget(blob, shape.n_layer * size, size)
    try:
        kernels.decode_archive(kernels.archive_model(tables, encoding=False), chunk, rope(tables), k, v)
    except ValueError:
        return False
    assert (np.abs(blob.view(np.float16)) <= LARGEST).all()
    return True


def mutated(good: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flipped bits, words of ones or zeros, cut, longer, shuffled, random."""
    raw = good.copy()
    kind = rng.integers(0, 7)
    if kind == 0:
        return raw[: rng.integers(0, len(raw))]
    if kind == 1:
        return np.append(raw, rng.integers(0, 256, rng.integers(1, 70), dtype=np.uint8))
    if kind == 2:
        return rng.integers(0, 256, len(raw), dtype=np.uint8)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, len(raw)))
        if kind == 3:
            raw[at : at + 4] = 255
        elif kind == 4:
            raw[at : at + 4] = 0
        elif kind == 5:
            raw[:8] = rng.integers(0, 256, 8)
        else:
            raw[at] ^= 1 << int(rng.integers(0, 8))
    return raw


def fuzz(n: int, seed: int) -> None:
    tables = make_tables(n_layer=2, n_head=9, k_dim=40, v_dim=40)
    native = natives()
    good = section(tables, native[0])
    rng = np.random.default_rng(seed)
    survivors = 0
    for _ in range(n):
        bad = mutated(good, rng)
        found = {decodes(tables, kernels, bad) for kernels in native}
        assert len(found) == 1
        survivors += found.pop() and not np.array_equal(bad, good)
    assert survivors <= n / 50  # the coder's end gives the others away; escapes hold bits as they are


@compiled
def test_some_hundred_mutations() -> None:
    fuzz(300, 1)


@pytest.mark.slow
@compiled
def test_many_mutations() -> None:
    fuzz(20_000, 2)


@compiled
def test_the_definition_refuses_the_same() -> None:
    tables = make_tables(n_layer=2)
    native = natives()[0]
    good = section(tables, native)
    rng = np.random.default_rng(3)
    for _ in range(25):
        bad = mutated(good, rng)
        try:
            decode_section(tables, bad, base_classes(tables, 0), 1.0, N)
            sound = True
        except ValueError:
            sound = False
        assert sound == decodes(tables, native, bad)


def test_tables_that_blow_up(kernels: Kernels) -> None:
    """Every number finite, their products not: no infinity gets into a cache."""
    tables = make_tables(n_layer=6)
    sound = section(tables, kernels)
    group = tables.groups[0]
    huge = np.full_like(group.predict_v, 60000)
    assert decodes(tables, kernels, sound)
    assert not decodes(replace(tables, groups=(replace(group, predict_v=huge),)), kernels, sound)
    steps = np.full_like(group.step_k, 1e8)
    assert not decodes(replace(tables, groups=(replace(group, step_k=steps),)), kernels, sound)


def saying(tables: ArchiveTables, fineness: int) -> np.ndarray:
    """A section of coefficients 0 whose token 4 has this `fineness` in layer 1, and all others 0."""
    base, writer, prior = base_classes(tables, 0), Encoder(tables.freq), np.zeros(N, np.int64)
    width = tables.groups[0].k_width
    for layer in range(tables.shape.n_layer):
        of_tokens = np.zeros((1, N), np.int64)
        of_tokens[0, 4] = fineness if layer == 1 else 0
        writer.tensor(of_tokens, np.full((1, N), tables.fineness_class, np.uint8))
        known = np.clip(of_tokens[0], LOWEST, HIGHEST) - LOWEST
        for part in (base[known, layer, :width], base[known, layer, width:]):
            q = np.zeros(part.shape, np.int64)
            classes, prior = classes_of(q, part, tables.expected, prior)
            writer.tensor(q, classes)
    stream = writer.stream()
    return np.concatenate([np.array([len(stream) - 32], "<u4").view(np.uint8), stream.view(np.uint8)])


@pytest.mark.parametrize("fineness", [LOWEST - 1, HIGHEST + 1, 15, -15, 127, 128, -129, 300, 32767, -32767])
def test_fineness_out_of_range(kernels: Kernels, fineness: int) -> None:
    tables = make_tables(n_layer=2)
    assert not decodes(tables, kernels, saying(tables, fineness))
    for sound in (LOWEST, 0, HIGHEST):
        assert decodes(tables, kernels, saying(tables, sound))


@compiled
def test_the_encoder_takes_only_known_fineness() -> None:
    tables, kernels = make_tables(), natives()[0]
    model, rows = kernels.archive_model(tables, encoding=True), make_rows(tables, N)
    good = make_fineness(tables, N)
    for bad in (good + 8, good - 8, good[:, :-1], good[..., :-1], np.concatenate([good, good])):
        with pytest.raises(ValueError, match="fineness"):
            kernels.encode_archive(model, *rows, rope(tables), base_classes(tables, 0), 1.0, bad)


@compiled
@pytest.mark.parametrize("rho", [0.95, -1.0, np.nan, np.inf])
def test_the_binding_refuses_chains_that_do_not_fade(rho: float) -> None:
    tables = make_tables()
    group = tables.groups[0]
    group.rho_v[1, 3] = rho  # behind the back of what checks tables
    with pytest.raises(ValueError, match="rho"):
        natives()[0].archive_model(tables, encoding=False)


def test_damage_beside_predictions_that_hardly_fade(kernels: Kernels) -> None:
    """Every rho at its limit: what decodes is finite, whatever came before."""
    tables = make_tables(n_layer=2)
    for rho in (tables.groups[0].rho_k, tables.groups[0].rho_v):
        rho[:] = np.where(np.arange(rho.shape[1]) % 2, 0.9, -0.9)
    tables = replace(tables, shrink=0.0)  # named anew
    good = section(tables, kernels)
    assert decodes(tables, kernels, good)
    rng = np.random.default_rng(4)
    assert sum(decodes(tables, kernels, mutated(good, rng)) for _ in range(20)) <= 3


@compiled
def test_the_binding_checks_its_arguments() -> None:
    tables = make_tables()
    kernels = natives()[0]
    model = kernels.archive_model(tables, encoding=False)
    good, base = section(tables, kernels), base_classes(tables, 0)
    size = N * 64
    blob = np.zeros(6 * size, np.uint8)
    k, v = RowTarget(blob, 0, size), RowTarget(blob, 3 * size, size)
    for chunk, at in (
        (ArchiveChunk(good, N, base[:, :, :-1].copy(), 1.0), v),
        (ArchiveChunk(good, N, base[:, :-1].copy(), 1.0), v),
        (ArchiveChunk(good, N, base[:-1], 1.0), v),
        (ArchiveChunk(good, 0, base, 1.0), v),
        (ArchiveChunk(good, 1 << 30, base, 1.0), v),
        (ArchiveChunk(good, N, base, float("nan")), v),
        (ArchiveChunk(good, N, base, 1.0), RowTarget(blob, 3 * size + 1, size)),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            kernels.decode_archive(model, chunk, rope(tables), k, at)
    with pytest.raises(ValueError, match="prepared"):
        kernels.encode_archive(
            model, *make_rows(tables, N), rope(tables), base, 1.0, make_fineness(tables, N)
        )
    with pytest.raises(ValueError, match="add up"):
        kernels.module.ArchiveModel(3, np.zeros_like(tables.freq), tables.expected, 0.0, 26)
