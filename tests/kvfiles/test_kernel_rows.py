"""Exact rows: relocated, rounded to f16, and written as llama.cpp's q8_0."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_oracle import (
    HEADS,
    KERNELS,
    encode,
    key_like,
    oracle_decode,
    quantiser,
    rope_of,
    rotated_blocks,
    rounding,
    turned,
)
from numpy.typing import NDArray

from kvfiles.codecs.reference import quantise_q8
from kvfiles.kernels import (
    Kernels,
    RowTarget,
)
from kvfiles.positions import RowRope

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]


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
