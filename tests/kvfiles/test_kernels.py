"""Every kernel variant against the NumPy reference and against a second oracle in double precision.

The second oracle shares no code with either: a dense Hadamard matrix, bits taken apart one by one,
complex multiplication for RoPE, brute force for the nearest level, Lloyd-Max by iteration.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kvfiles.codecs.reference import hadamard, levels, pack, quantise_q8, unpack
from kvfiles.codecs.rotated import GAUSSIAN_GRIDS, SCALE_TABLE, rotation
from kvfiles.kernels import (
    VARIANT_ENV,
    CodedLayers,
    Kernels,
    Quantiser,
    RowTarget,
    available,
    best,
    empty_layers,
)
from kvfiles.positions import RopeTables, RowRope
from kvfiles.rope import RopeSpec

F16 = NDArray[np.float16]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

KERNELS = {kernels.name: kernels for kernels in available()}
BITS = range(2, 9)
HEADS = [  # (n_head, head_dim): whole blocks, half blocks, odd ends, more than one rotation a head
    (2, 64), (1, 128), (2, 128), (1, 256), (3, 32), (1, 80),
    (2, 96), (2, 100), (5, 8), (3, 20), (3, 6), (1, 192),
]  # fmt: skip
ROWS = (0, 1, 5, 130)


@pytest.fixture(params=KERNELS)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    return KERNELS[request.param]


def quantiser(bits: int, head_dim: int) -> Quantiser:
    size, stride = rotation(head_dim)
    return Quantiser(bits, size, stride, np.array(GAUSSIAN_GRIDS[bits], np.float32), SCALE_TABLE)


def key_like(n: int, width: int, seed: int = 0) -> F16:
    """Rows with channels of very different mean and size, as keys have them."""
    rng = np.random.default_rng(seed)
    offset = 20 * rng.standard_normal(width)
    return (offset + np.exp(rng.standard_normal(width)) * rng.standard_normal((n, width))).astype(np.float16)


def rope_of(
    n_head: int, head_dim: int, n: int, first: int = 17, pairing: Any = "neox", n_rot: int = 0
) -> RowRope:
    n_rot = n_rot or head_dim
    return RopeTables(RopeSpec(pairing, head_dim, n_rot, 10000.0), n_head).at(first, n)


def encode(kernels: Kernels, rows: F16, rope: RowRope | None, q: Quantiser) -> CodedLayers:
    coded = empty_layers(1, len(rows), rows.shape[1], q.bits)
    for array in (coded.codes, coded.scales, coded.mean, coded.reference):
        array.view(np.uint8)[...] = 0xA5  # whatever is not written shows
    kernels.encode(rows, rope, q, coded, 0)
    return coded


def decode(kernels: Kernels, coded: CodedLayers, rope: RowRope | None, q: Quantiser) -> F16:
    n, width = coded.codes.shape[1], coded.mean.shape[1]
    blob = np.full(n * width * 2 + 16, 0xA5, np.uint8)
    kernels.decode(coded, rope, q, RowTarget(blob, 8, 0))
    assert (blob[:8] == 0xA5).all(), "wrote before its rows"
    assert (blob[len(blob) - 8 :] == 0xA5).all(), "wrote behind its rows"
    return blob[8:-8].view(np.float16).reshape(n, width)


# --------------------------------------------------------------- the second oracle


def dense_hadamard(size: int, stride: int = 1) -> F64:
    """The orthonormal Sylvester matrix; with a stride, values closer than that are not mixed."""
    matrix = np.eye(stride)
    while len(matrix) < size:
        matrix = np.kron(np.array([[1.0, 1.0], [1.0, -1.0]]), matrix)
    return matrix / math.sqrt(size / stride)


def rotated_blocks(x: F64, size: int, stride: int = 1) -> F64:
    n, width = x.shape
    return (x.reshape(n, width // size, size) @ dense_hadamard(size, stride)).reshape(n, width)


def turned(rows: F64, rope: RowRope | None) -> F64:
    """RoPE by complex multiplication; the angle's sign is read off the table of the kernel."""
    if rope is None:
        return rows
    n_rot = rope.cos.shape[1]
    x = rows.reshape(len(rows), rope.n_head, rope.head_dim).copy()
    half = n_rot // 2
    first, second = (np.r_[0:half], np.r_[half:n_rot]) if rope.neox else (np.r_[0:n_rot:2], np.r_[1:n_rot:2])
    turn = rope.cos[:, None, first].astype(np.float64) + 1j * rope.sin[:, None, second]
    z = (x[..., first] + 1j * x[..., second]) * turn
    x[..., first], x[..., second] = z.real, z.imag
    return x.reshape(rows.shape)


def code_bits(codes: U8, bits: int) -> NDArray[np.int64]:
    """(n, n_block, 64) codes, bit by bit: value e is lane e % 8, slot e // 8; planes of 4, 2 and 1 bits."""
    n, n_block, _ = codes.shape
    stream = np.unpackbits(codes, axis=-1, bitorder="little")
    planes = {2: [2], 3: [2, 1], 4: [4], 5: [4, 1], 6: [4, 2], 7: [4, 2, 1], 8: [4, 4]}[bits]
    out = np.zeros((n, n_block, 64), np.int64)
    for element in range(64):
        lane, slot = element % 8, element // 8
        start = at = 0
        for p in planes:
            word = start + lane * 8 * p
            for bit in range(p):
                out[:, :, element] |= stream[:, :, word + slot * p + bit].astype(np.int64) << (at + bit)
            start, at = start + 64 * p, at + p
    return out


def grid_of(q: Quantiser) -> F64:
    half = 2.0 ** (q.bits - 1)
    u = (np.arange(2 * half) + 0.5 - half) / half
    p = q.grid.astype(np.float64)
    return p[0] * u + p[1] * u**3 + p[2] * u**5


def oracle_decode(coded: CodedLayers, q: Quantiser) -> F64:
    """(n, width) values before RoPE."""
    width = coded.mean.shape[1]
    scale = float(coded.reference[0]) * np.exp2(coded.scales[0] / -16.0)
    values = grid_of(q)[code_bits(coded.codes[0], q.bits)] * scale[..., None]
    flat = values.reshape(len(values), values.shape[1] * 64)[:, :width]
    return rotated_blocks(flat, q.rotation, q.stride) + coded.mean[0].astype(np.float64)


def rounding(want: F64) -> F64:
    """What one rounding to f16 and f32 arithmetic may cost."""
    return 2.0**-11 * np.abs(want) + 2.0**-24 + 1e-5 * np.abs(want).max(initial=1e-6)


# ------------------------------------------------------------------ encode, decode


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


# -------------------------------------------------------------------- the grid itself


def lloyd_max(bits: int) -> float:
    """The least mean squared error of 2**bits levels on a unit Gaussian, by Lloyd's iteration."""
    n = 1 << bits
    level = np.linspace(-1, 1, n) * (1 + bits / 2)
    for _ in range(4000):
        edge = np.r_[-10.0, (level[1:] + level[:-1]) / 2, 10.0]
        probability, moment = np.diff(normal_cdf(edge)), normal_pdf(edge[:-1]) - normal_pdf(edge[1:])
        level = moment / probability
    return grid_mse(level)


def normal_cdf(x: F64) -> F64:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in x])


def normal_pdf(x: F64) -> F64:
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def grid_mse(level: F64) -> float:
    edge = np.r_[-10.0, (level[1:] + level[:-1]) / 2, 10.0]
    probability, moment = np.diff(normal_cdf(edge)), normal_pdf(edge[:-1]) - normal_pdf(edge[1:])
    return float(1 - 2 * (level * moment).sum() + (level**2 * probability).sum())


LLOYD_MAX = {2: 0.117482, 3: 0.034548, 4: 0.009501, 5: 0.002505, 6: 0.000644, 7: 0.0001635, 8: 0.0000413}
"""Mean squared error of the best scalar quantiser of a unit Gaussian (Max 1960, table I; by iteration)."""


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_the_published_optimum_is_the_optimum(bits: int) -> None:
    assert lloyd_max(bits) == pytest.approx(LLOYD_MAX[bits], rel=2e-3)


@pytest.mark.parametrize("bits", BITS)
def test_the_grid_is_near_the_optimum(bits: int) -> None:
    grid = levels(bits, np.array(GAUSSIAN_GRIDS[bits], np.float32)).astype(np.float64)
    assert (np.diff(grid) > 0).all()
    np.testing.assert_allclose(grid, -grid[::-1], atol=1e-6)
    worst = {2: 1.001, 3: 1.001, 4: 1.005, 5: 1.02, 6: 1.05, 7: 1.14, 8: 1.24}[bits]
    assert 0.999 < grid_mse(grid) / LLOYD_MAX[bits] < worst


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_gaussian_values_cost_what_the_optimum_costs(kernels: Kernels, bits: int) -> None:
    """Blocks fit their own scale, which gains a little, and round it to 1/16 octave, which costs a little."""
    rows = np.random.default_rng(bits).standard_normal((4000, 128)).astype(np.float16)
    got = decode(kernels, encode(kernels, rows, None, quantiser(bits, 128)), None, quantiser(bits, 128))
    error = ((got.astype(np.float64) - rows) ** 2).mean()
    assert 0.90 * LLOYD_MAX[bits] < error < 1.03 * LLOYD_MAX[bits]


# ---------------------------------------------------------------------- odd numbers


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


# ------------------------------------------------------------------------- relocate


@pytest.mark.parametrize(("n_head", "head_dim"), HEADS)
def test_relocation_equals_the_oracle(kernels: Kernels, n_head: int, head_dim: int) -> None:
    rows = key_like(2 * 9, n_head * head_dim).reshape(2, 9, -1)
    for pairing in ("norm", "neox"):
        undo = rope_of(n_head, head_dim, 9, pairing=pairing).inverse()
        redo = rope_of(n_head, head_dim, 9, first=4000, pairing=pairing)
        blob = np.zeros(2 * 9 * rows.shape[2] * 2, np.uint8)
        kernels.relocate(rows, undo, redo, RowTarget(blob, 0, len(blob) // 2))
        for layer in range(2):
            want = turned(turned(rows[layer].astype(np.float64), undo), redo)
            got = blob.view(np.float16).reshape(rows.shape)[layer]
            assert (np.abs(got - want) <= rounding(want)).all()


@given(st.integers(1, 300), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_without_rotation_every_bit_stays(width: int, n: int, seed: int) -> None:
    """All f16 patterns that are numbers, subnormals and infinities included."""
    raw = np.random.default_rng(seed).integers(0, 1 << 16, (1, n, width)).astype(np.uint16)
    rows = np.where(np.isnan(raw.view(np.float16)), np.uint16(0), raw).view(np.float16)
    for kernels in KERNELS.values():
        blob = np.zeros(n * width * 2, np.uint8)
        kernels.relocate(rows, None, None, RowTarget(blob, 0, 0))
        assert blob.tobytes() == rows.tobytes(), kernels.name


def test_every_f16_goes_through_a_zero_rotation_unchanged(kernels: Kernels) -> None:
    """65,536 bit patterns through f32 and back: both conversions of every variant, vector and scalar part."""
    raw = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    numbers = raw[~np.isnan(raw.view(np.float16))]
    n = len(numbers) // 62
    rows = numbers[: n * 62].view(np.float16).reshape(1, n, 62)
    still = RowRope(np.ones((n, 62), np.float32), np.zeros((n, 62), np.float32), 1, 62, True)
    blob = np.zeros(rows.nbytes, np.uint8)
    with np.errstate(invalid="ignore"):  # infinity times zero
        kernels.relocate(rows, still, None, RowTarget(blob, 0, 0))
    got = blob.view(np.float16).reshape(n, 62)
    touched_by_infinity = np.isinf(np.roll(rows[0], 31, axis=1)) | np.isinf(rows[0])
    np.testing.assert_array_equal(got[~touched_by_infinity], rows[0][~touched_by_infinity])


def test_rounding_to_f16_is_to_nearest_even(kernels: Kernels) -> None:
    """A table of angles makes products that f16 cannot hold; NumPy's own conversion is the oracle."""
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((1, 400, 70)).astype(np.float16)
    rows[0, :200] *= np.float16(1e-5)  # into the subnormals
    scale = (1 + rng.integers(0, 4096, (400, 70)) / 4096).astype(np.float32)
    rope = RowRope(scale, np.zeros((400, 70), np.float32), 1, 70, False)
    blob = np.zeros(rows.nbytes, np.uint8)
    kernels.relocate(rows, rope, None, RowTarget(blob, 0, 0))
    want = (rows[0].astype(np.float32) * scale).astype(np.float16)
    np.testing.assert_array_equal(blob.view(np.float16).reshape(400, 70), want)


# ----------------------------------------------------------------------------- q8_0


def dequantised_q8(raw: U8, rotation: int, width: int) -> tuple[F64, F64]:
    """Values before the cache's rotation and the step of every value; block_q8_0 read by its definition."""
    groups = raw.reshape(-1, width // 32, 34)
    step = groups[..., :2].copy().view(np.float16).astype(np.float64)
    values = groups[..., 2:].view(np.int8) * step
    flat = values.reshape(-1, width)
    return (rotated_blocks(flat, rotation) if rotation else flat), np.repeat(step[..., 0], 32, axis=1)


@pytest.mark.parametrize(
    ("width", "rotation"), [(32, 0), (96, 0), (64, 64), (128, 64), (384, 128), (256, 256), (512, 512)]
)
def test_q8_rows_are_within_half_a_step(kernels: Kernels, width: int, rotation: int) -> None:
    rows = key_like(7, width)[None]
    rows[0, 3] = 0
    blob = np.zeros(7 * width // 32 * 34, np.uint8)
    kernels.relocate(rows, None, None, RowTarget(blob, 0, 0, True, rotation))
    got, _ = dequantised_q8(blob, 0, width)
    want = rows[0].astype(np.float64)
    want = rotated_blocks(want, rotation) if rotation else want
    _, step = dequantised_q8(blob, 0, width)
    assert (np.abs(got - want) <= 0.51 * step + 2.0**-10 * np.abs(want)).all()
    back, _ = dequantised_q8(blob, rotation, width)
    assert np.abs(back - rows[0]).max() < 0.02 * np.abs(rows[0].astype(np.float64)).max()


def test_q8_variants_agree(kernels: Kernels) -> None:
    rows = key_like(33, 256)[None]
    blob = np.zeros(33 * 8 * 34, np.uint8)
    kernels.relocate(rows, None, None, RowTarget(blob, 0, 0, True, 128))
    want, step = dequantised_q8(quantise_q8(rows[0].astype(np.float32), 128), 0, 256)
    got, _ = dequantised_q8(blob, 0, 256)
    assert (np.abs(got - want) <= 1.01 * step).all()  # a tie may fall to either side
    assert (np.abs(got - want) <= 0.02 * step).mean() > 0.99


def test_decoding_to_q8_is_decoding_then_quantising(kernels: Kernels) -> None:
    q, rope = quantiser(4, 64), rope_of(3, 64, 21)
    coded = encode(kernels, key_like(21, 192), None, q)
    blob = np.zeros(21 * 6 * 34, np.uint8)
    kernels.decode(coded, rope, q, RowTarget(blob, 0, 0, True, 64))
    got, step = dequantised_q8(blob, 0, 192)
    want = rotated_blocks(turned(oracle_decode(coded, q), rope), 64)
    assert (np.abs(got - want) <= 0.51 * step + 2.0**-10 * np.abs(want)).all()


# --------------------------------------------------------------------- layers, shapes


def test_a_chunk_is_that_part_of_the_whole(kernels: Kernels) -> None:
    """Nine of 23 rows, and the layers written with gaps between them."""
    q, n_layer, n, width = quantiser(5, 64), 4, 23, 128
    coded = empty_layers(n_layer, n, width, 5)
    rope = rope_of(2, 64, n)
    for layer in range(n_layer):
        kernels.encode(key_like(n, width, seed=layer), None, q, coded, layer)
    whole = np.zeros(n_layer * n * width * 2, np.uint8)
    kernels.decode(coded, rope, q, RowTarget(whole, 0, n * width * 2))
    rows = whole.view(np.float16).reshape(n_layer, n, width)
    codes, scales = (np.ascontiguousarray(array[:, 4:13]) for array in (coded.codes, coded.scales))
    chunk = CodedLayers(codes, scales, coded.mean, coded.reference)
    stride = 9 * width * 2 + 50
    part = np.full(6 + n_layer * stride, 0xA5, np.uint8)
    kernels.decode(chunk, rope.rows(4, 13), q, RowTarget(part, 6, stride))
    for layer in range(n_layer):
        start = 6 + layer * stride
        got = part[start : start + 9 * width * 2].view(np.float16).reshape(9, width)
        np.testing.assert_array_equal(got, rows[layer, 4:13])
        assert (part[start + 9 * width * 2 : start + stride] == 0xA5).all()
    assert (part[:6] == 0xA5).all()


def coded_sample(**parts: Any) -> CodedLayers:
    """Two layers of five rows of 128 values, some of it replaced."""
    good = {
        "codes": np.zeros((2, 5, 2, 32), np.uint8),
        "scales": np.zeros((2, 5, 2), np.uint8),
        "mean": np.zeros((2, 128), np.float16),
        "reference": np.zeros(2, np.float32),
    }
    return CodedLayers(**{**good, **parts})


GOOD_ROPE = rope_of(2, 64, 5)
Q4 = quantiser(4, 64)
BLOB_BYTES = 2 * 5 * 256


def target(**parts: Any) -> RowTarget:
    return RowTarget(**{"blob": np.zeros(BLOB_BYTES, np.uint8), "first": 0, "stride": 1280, **parts})


def rope_like(**parts: Any) -> RowRope:
    return replace(GOOD_ROPE, **parts)


BAD_CODED: dict[str, CodedLayers] = {
    "codes of another width": coded_sample(codes=np.zeros((2, 5, 1, 32), np.uint8)),
    "codes of other bits": coded_sample(codes=np.zeros((2, 5, 2, 40), np.uint8)),
    "too few rows of scales": coded_sample(scales=np.zeros((2, 4, 2), np.uint8)),
    "too few layers of scales": coded_sample(scales=np.zeros((1, 5, 2), np.uint8)),
    "too few means": coded_sample(mean=np.zeros((1, 128), np.float16)),
    "too few references": coded_sample(reference=np.zeros(1, np.float32)),
    "mean of another width": coded_sample(mean=np.zeros((2, 300), np.float16)),
    "no values": coded_sample(mean=np.zeros((2, 0), np.float16)),
}
BAD_ROPES: dict[str, RowRope] = {
    "rope of too few rows": rope_of(2, 64, 4),
    "rope of another width": rope_of(3, 64, 5),
    "rope wider than the head": rope_like(n_head=4, head_dim=32),
    "sin and cos differ": rope_like(sin=GOOD_ROPE.sin[:, :32].copy()),
    "odd rope": rope_like(cos=GOOD_ROPE.cos[:, :31].copy(), sin=GOOD_ROPE.sin[:, :31].copy()),
    "negative heads": rope_like(n_head=-2, head_dim=-64),
}
BAD_QUANTISERS: dict[str, Quantiser] = {
    "one bit": replace(Q4, bits=1),
    "nine bits": replace(Q4, bits=9),
    "rotation 0": replace(Q4, rotation=0),
    "rotation 3": replace(Q4, rotation=3),
    "rotation 256": replace(Q4, rotation=256),
    "negative rotation": replace(Q4, rotation=-64),
    "stride 2": replace(Q4, stride=2),
    "stride above the rotation": replace(Q4, rotation=4, stride=8),
    "short grid": replace(Q4, grid=Q4.grid[:2]),
    "short scale table": replace(Q4, scale_table=SCALE_TABLE[:9]),
}
BAD_TARGETS: dict[str, RowTarget] = {
    "blob too small": target(blob=np.zeros(BLOB_BYTES - 1, np.uint8)),
    "starts behind the end": target(first=BLOB_BYTES + 1),
    "starts before the blob": target(first=-2),
    "negative stride": target(stride=-1280),
    "huge stride": target(stride=2**62),
    "q8 with a foreign rotation": target(q8=True, rotation=48),
    "q8 with a negative rotation": target(q8=True, rotation=-64),
}
BAD_DECODES: dict[str, tuple[CodedLayers, RowRope | None, Quantiser, RowTarget]] = {
    **{name: (coded, None, Q4, target()) for name, coded in BAD_CODED.items()},
    **{name: (coded_sample(), rope, Q4, target()) for name, rope in BAD_ROPES.items()},
    **{name: (coded_sample(), None, q, target()) for name, q in BAD_QUANTISERS.items()},
    **{name: (coded_sample(), None, Q4, bad) for name, bad in BAD_TARGETS.items()},
}

NATIVE = [name for name in KERNELS if name != "numpy"]


@pytest.mark.parametrize("name", BAD_DECODES)
@pytest.mark.parametrize("variant", NATIVE)
def test_shapes_that_do_not_fit_raise_value_error(variant: str, name: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        KERNELS[variant].decode(*BAD_DECODES[name])


@pytest.mark.parametrize("variant", NATIVE)
def test_the_good_shapes_are_good(variant: str) -> None:
    KERNELS[variant].decode(coded_sample(), GOOD_ROPE, Q4, target())
    KERNELS[variant].decode(coded_sample(), GOOD_ROPE, Q4, target(q8=True, rotation=64, stride=0))


@pytest.mark.parametrize("variant", NATIVE)
def test_arrays_are_never_silently_copied(variant: str) -> None:
    """A strided or converted output would be written into a copy, and the state would stay empty."""
    kernels = KERNELS[variant]
    strided = np.zeros(2 * BLOB_BYTES, np.uint8)[::2]
    for blob in (strided, np.zeros(BLOB_BYTES, np.int8), np.zeros(BLOB_BYTES, np.float32)):
        with pytest.raises((ValueError, TypeError)):
            kernels.decode(coded_sample(), None, Q4, target(blob=blob))
    frozen = np.zeros(BLOB_BYTES, np.uint8)
    frozen.flags.writeable = False
    with pytest.raises((ValueError, TypeError)):
        kernels.decode(coded_sample(), None, Q4, target(blob=frozen))
    for part in ({"codes": np.zeros((2, 5, 2, 32), np.float32)}, {"reference": np.zeros(2, np.float64)}):
        with pytest.raises((ValueError, TypeError)):
            kernels.decode(coded_sample(**part), None, Q4, target())
    out = empty_layers(1, 5, 128, 4)
    wrong = CodedLayers(out.codes.astype(np.int16), out.scales, out.mean, out.reference)
    with pytest.raises((ValueError, TypeError)):
        kernels.encode(key_like(5, 128), None, Q4, wrong, 0)


@pytest.mark.parametrize("variant", NATIVE)
@pytest.mark.parametrize("shape", [(0, 5, 128), (1, 4, 128), (1, 5, 192)])
def test_encoding_into_the_wrong_room_is_refused(variant: str, shape: tuple[int, int, int]) -> None:
    out = empty_layers(*shape, 4)
    with pytest.raises((ValueError, IndexError)):
        KERNELS[variant].encode(key_like(5, 128), None, Q4, out, 0)


@pytest.mark.parametrize("variant", NATIVE)
def test_a_row_wider_than_any_model_is_refused(variant: str) -> None:
    rows = np.zeros((1, 1, 16448), np.float16)
    with pytest.raises(ValueError, match="wide"):
        KERNELS[variant].relocate(rows, None, None, target(blob=np.zeros(33000, np.uint8)))


def test_an_unknown_variant_is_refused() -> None:
    native = pytest.importorskip("kvfiles._kernels")
    room = native.Target(np.zeros(4, np.uint8), 0, 0, False, 0)
    with pytest.raises(ValueError, match="variant"):
        native.relocate("vax", np.zeros((1, 1, 2), np.uint16), None, None, room)


# ------------------------------------------------------------------------ the choice


def test_numpy_is_always_there_and_last() -> None:
    names = [kernels.name for kernels in available()]
    assert names[-1] == "numpy"
    assert best().name == names[0]


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIANT_ENV, "numpy")
    assert best().name == "numpy"
    monkeypatch.setenv(VARIANT_ENV, "no such thing")
    assert best().name == available()[0].name


def test_without_the_compiled_module_numpy_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    import kvfiles

    monkeypatch.setitem(sys.modules, "kvfiles._kernels", None)
    monkeypatch.delattr(kvfiles, "_kernels", raising=False)
    assert [kernels.name for kernels in available()] == ["numpy"]
