"""Encoding and decoding: every kernel variant against the NumPy reference and against a second oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_oracle import (
    BITS,
    HEADS,
    KERNELS,
    LLOYD_MAX,
    ROWS,
    code_bits,
    decode,
    encode,
    grid_of,
    key_like,
    oracle_decode,
    quantiser,
    rope_of,
    rotated_blocks,
    rounding,
    turned,
)

from kvfiles.codecs.reference import hadamard, pack, unpack
from kvfiles.codecs.rotated import rotation
from kvfiles.kernels import (
    Kernels,
    RowTarget,
)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("n_head", "head_dim"), HEADS)
def test_decoding_equals_the_dense_oracle(kernels: Kernels, bits: int, n_head: int, head_dim: int) -> None:
    q, width = quantiser(bits, head_dim), n_head * head_dim
    for n in ROWS:
        coded = encode(kernels, key_like(n, width), None, q)
        plain = oracle_decode(coded, q)
        partial = 2 * (head_dim // 4)
        for rope in (
            None,
            rope_of(n_head, head_dim, n),
            rope_of(n_head, head_dim, n, pairing="norm"),
            rope_of(n_head, head_dim, n, n_rot=partial),
            rope_of(n_head, head_dim, n, pairing="norm", n_rot=partial),
        ):
            want = turned(plain, rope)
            got = decode(kernels, coded, rope, q)
            assert (np.abs(got - want) <= rounding(want)).all()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("n_head", "head_dim"), [(2, 64), (2, 128), (1, 80), (3, 20)])
def test_encoding_is_optimal_by_brute_force(kernels: Kernels, bits: int, n_head: int, head_dim: int) -> None:
    """Means, nearest levels, least-squares scales: each checked against its definition."""
    q, width = quantiser(bits, head_dim), n_head * head_dim
    for n, rope in ((1, None), (5, rope_of(n_head, head_dim, 5).inverse()), (20, None)):
        rows = key_like(n, width, seed=bits)
        coded = encode(kernels, rows, rope, q)
        x = turned(rows.astype(np.float64), rope)
        mean = coded.mean[0].astype(np.float64)
        np.testing.assert_allclose(mean, x.mean(0), rtol=2.0**-10, atol=1e-6)
        n_block = -(-width // 64)
        centred = np.zeros((n, n_block * 64))
        centred[:, :width] = rotated_blocks(x - mean, q.rotation, q.stride)
        blocks = centred.reshape(n, n_block, 64)
        codes, grid = code_bits(coded.codes[0], bits), grid_of(q)
        scale = float(coded.reference[0]) * np.exp2(coded.scales[0] / -16.0)[..., None]
        error = np.abs(blocks - grid[codes] * scale)
        nearest = np.abs(blocks[..., None] - grid * scale[..., None]).min(-1)
        noise = 1e-5 * np.abs(x).max()
        assert (error <= nearest + noise).all(), "a code is not the nearest level"
        rms = np.sqrt((blocks**2).mean(-1, keepdims=True))
        first = grid[np.abs(blocks[..., None] - grid * rms[..., None]).argmin(-1)]
        wanted = (blocks * first).sum(-1) / (first**2).sum(-1)
        loud = wanted > 1e-3 * wanted.max(initial=1e-9)
        steps = 16 * np.log2(scale[..., 0][loud] / wanted[loud])
        assert (np.abs(steps) < 0.6).all(), "a scale is not within half a step of the least-squares scale"
        if n > 1:
            assert float(coded.reference[0]) == pytest.approx(wanted.max(), rel=2e-3)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("n_head", "head_dim"), HEADS)
def test_all_variants_agree(bits: int, n_head: int, head_dim: int) -> None:
    q, width = quantiser(bits, head_dim), n_head * head_dim
    rows = key_like(130, width)
    undo, redo = rope_of(n_head, head_dim, 130).inverse(), rope_of(n_head, head_dim, 130, first=9000)
    reference = encode(KERNELS["numpy"], rows, undo, q)
    want = decode(KERNELS["numpy"], reference, redo, q)
    for kernels in KERNELS.values():
        coded = encode(kernels, rows, undo, q)
        np.testing.assert_allclose(coded.mean, reference.mean, rtol=2.0**-10)
        assert (coded.scales == reference.scales).mean() > 0.999
        assert (unpack(coded.codes[0], bits) == unpack(reference.codes[0], bits)).mean() > 0.999
        got = decode(kernels, reference, redo, q)  # the same file gives the same cache on every machine
        assert (np.abs(got.astype(np.float64) - want) <= 2 * rounding(want.astype(np.float64))).all()


@pytest.mark.parametrize("bits", BITS)
def test_the_error_is_bounded_by_the_level_distance(kernels: Kernels, bits: int) -> None:
    """End to end on key-like rows: relative error of the varying part falls by about four a bit."""
    rows = key_like(600, 256)
    q, rope = quantiser(bits, 128), rope_of(2, 128, 600)
    got = decode(kernels, encode(kernels, rows, rope.inverse(), q), rope, q)
    varying = np.var(turned(rows.astype(np.float64), rope.inverse()), axis=0).sum()
    relative = ((got.astype(np.float64) - rows) ** 2).mean(0).sum() / varying
    assert relative < 1.3 * LLOYD_MAX[bits]


@given(st.integers(2, 8), st.integers(0, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_packing_is_the_documented_layout(bits: int, n: int, n_block: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 1 << bits, (n, n_block, 64)).astype(np.uint32)
    packed = pack(codes, bits)
    assert packed.shape == (n, n_block, 8 * bits)
    np.testing.assert_array_equal(code_bits(packed, bits), codes)
    np.testing.assert_array_equal(unpack(packed, bits), codes)


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (2, 1), (8, 1), (32, 1), (128, 1), (64, 8), (128, 8)])
def test_the_fast_transform_is_the_dense_matrix(size: int, stride: int) -> None:
    x = np.random.default_rng(size).standard_normal((3, 256)).astype(np.float32)
    fast = hadamard(x, size, stride)
    np.testing.assert_allclose(fast, rotated_blocks(x.astype(np.float64), size, stride), atol=1e-5)
    np.testing.assert_allclose(hadamard(fast, size, stride), x, atol=1e-5)


@pytest.mark.parametrize(
    ("head_dim", "size", "stride"),
    [
        (64, 64, 8),
        (80, 16, 1),
        (96, 32, 1),
        (100, 4, 1),
        (128, 128, 8),
        (192, 64, 8),
        (256, 128, 8),
        (7, 1, 1),
    ],
)
def test_rotation_by_head(head_dim: int, size: int, stride: int) -> None:
    assert rotation(head_dim) == (size, stride)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("value", [0.0, 1.0, -390.0, 3e4, 6e-8])
def test_constant_rows_come_back_exactly(kernels: Kernels, bits: int, value: float) -> None:
    rows = np.full((5, 192), value, np.float16)
    q = quantiser(bits, 64)
    np.testing.assert_array_equal(decode(kernels, encode(kernels, rows, None, q), None, q), rows)


def test_loud_rows_do_not_silence_the_others(kernels: Kernels) -> None:
    """Scales reach 16 octaves below the loudest block."""
    rows = (0.01 * np.random.default_rng(3).standard_normal((50, 128))).astype(np.float16)
    rows[7] *= np.float16(20_000)
    rows[8] = -rows[7]
    q = quantiser(4, 128)
    got = decode(kernels, encode(kernels, rows, None, q), None, q).astype(np.float64)
    quiet = np.abs(np.arange(50) - 7.5) > 1
    relative = ((got - rows)[quiet] ** 2).mean() / (rows[quiet].astype(np.float64) ** 2).mean()
    assert relative < 1.1 * LLOYD_MAX[4]


@pytest.mark.parametrize("scale", [1e-7, 1e-4, 1.0, 4000.0])
def test_magnitudes(kernels: Kernels, scale: float) -> None:
    rows = (np.random.default_rng(0).standard_normal((40, 128)) * scale).astype(np.float16)
    q = quantiser(4, 128)
    got = decode(kernels, encode(kernels, rows, None, q), None, q).astype(np.float64)
    spacing = 2.0**-24  # of subnormal f16
    assert ((got - rows) ** 2).mean() <= 0.02 * (rows.astype(np.float64) ** 2).mean() + spacing**2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_visible_in_the_mean(kernels: Kernels, value: float) -> None:
    """The kernels do not crash, and the channel's mean tells the codec, which refuses."""
    rows = key_like(20, 128)
    rows[3, 40] = value
    coded = encode(kernels, rows, None, quantiser(4, 128))
    assert np.flatnonzero(~np.isfinite(coded.mean[0])).tolist() == [40]
    assert np.isfinite(coded.reference).all()
    blob = np.zeros(20 * 256, np.uint8)
    kernels.relocate(rows[None], None, None, RowTarget(blob, 0, 0))
    np.testing.assert_array_equal(blob.view(np.float16).reshape(20, 128), rows)
    q8 = np.zeros(20 * 4 * 34, np.uint8)
    kernels.relocate(rows[None], None, None, RowTarget(q8, 0, 0, True, 128))
