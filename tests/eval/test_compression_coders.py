"""The coders from the literature against naive loops, hand-counted bits and published errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.compression.coders import Coder, PerChannel, PerToken, Polar, Rotated, TurboQuant, random_rotation
from eval.grids import quantise_asymmetric

HEAD_DIM = 64
ROWS = np.random.default_rng(2).standard_normal((70, 2 * HEAD_DIM)).astype(np.float32)
BIASED = ROWS + np.where(np.arange(2 * HEAD_DIM) % 16 == 3, 300, 0).astype(np.float32)
"""A few channels far off zero, as Qwen2.5's keys have."""


def error(coder: Coder, rows: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = ROWS) -> float:
    return float(((coder.code(rows, HEAD_DIM) - rows) ** 2).mean())


CODERS: list[Coder] = [
    Rotated(4),
    PerChannel(4, 32),
    PerToken(4, 32),
    TurboQuant(4),
    TurboQuant(3, outliers=True),
    Polar(),
]


@pytest.mark.parametrize("coder", CODERS, ids=repr)
def test_every_bit_more_divides_the_error(coder: Coder) -> None:
    errors = [error(coder), error(coder.finer(1)), error(coder.finer(3))]
    assert errors[0] > 2.5 * errors[1] > 2.5 * 8 * errors[2]
    bits = [c.stored_bits(70, 128, HEAD_DIM) for c in (coder, coder.finer(1))]
    assert 0.9 * 70 * 128 < bits[1] - bits[0] <= 70 * 128


@pytest.mark.parametrize("coder", CODERS, ids=repr)
@pytest.mark.parametrize("n", [1, 31, 33])
def test_shapes_zeros_and_any_number_of_rows(coder: Coder, n: int) -> None:
    found = coder.code(ROWS[:n], HEAD_DIM)
    assert found.shape == (n, 128)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(coder.code(np.zeros((n, 128), np.float32), HEAD_DIM), 0)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 70), st.integers(1, 40), st.integers(2, 5))
def test_a_channel_s_groups_run_along_the_tokens(n: int, group: int, bits: int) -> None:
    found = PerChannel(bits, group).code(ROWS[:n], HEAD_DIM)
    for channel in (0, 77):
        for start in range(0, n, group):
            column = ROWS[start : min(start + group, n), channel]
            wanted = quantise_asymmetric(column[None], bits)[0]
            np.testing.assert_array_equal(found[start : start + len(column), channel], wanted)


def test_a_token_s_groups_stay_inside_a_head() -> None:
    found = PerToken(3, 32).code(ROWS, HEAD_DIM)
    for token, start in ((0, 0), (5, 32), (69, 96)):
        wanted = quantise_asymmetric(ROWS[token : token + 1, start : start + 32], 3)[0]
        np.testing.assert_array_equal(found[token, start : start + 32], wanted)


@pytest.mark.parametrize(("bits", "published"), [(2, 0.117), (3, 0.03), (4, 0.009)])
def test_turboquant_has_the_error_of_its_paper(bits: int, published: float) -> None:
    assert error(TurboQuant(bits)) == pytest.approx(published, rel=0.16)


def test_channels_far_off_ruin_what_is_neither_centred_nor_per_channel() -> None:
    assert error(TurboQuant(4), BIASED) > 50 * error(Rotated(4), BIASED)
    assert error(Polar(), BIASED) > 50 * error(Rotated(4), BIASED)
    assert error(PerToken(4, 32), BIASED) > 50 * error(PerChannel(4, 32), BIASED)


def test_outliers_apart_spare_the_other_channels() -> None:
    plain = TurboQuant(3).code(BIASED, HEAD_DIM) - BIASED
    apart = TurboQuant(3, outliers=True).code(BIASED, HEAD_DIM) - BIASED
    ordinary = np.argsort(np.abs(BIASED).mean(0))[:64]
    assert (apart[:, ordinary] ** 2).mean() < 0.05 * (plain[:, ordinary] ** 2).mean()


def test_the_rotation_is_orthogonal_and_always_the_same() -> None:
    rotation = random_rotation(48)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(48), atol=1e-5)
    random_rotation.cache_clear()
    np.testing.assert_array_equal(random_rotation(48), rotation)


def test_polar_coordinates_of_one_vector_step_by_step() -> None:
    """With many bits an angle is nearly exact, so that only the radius' f16 remains."""
    fine = Polar((14, 14, 14, 14))
    assert np.abs(fine.code(ROWS[:3], HEAD_DIM) - ROWS[:3]).max() < 6e-3
    coarse = Polar().code(ROWS[:1], HEAD_DIM)[0, :HEAD_DIM] @ random_rotation(HEAD_DIM).T
    wanted = ROWS[0, :HEAD_DIM] @ random_rotation(HEAD_DIM).T
    for start in range(0, HEAD_DIM, 16):  # the radius of a block is kept whatever the angles become
        block, original = coarse[start : start + 16], wanted[start : start + 16]
        assert math.hypot(*block) == pytest.approx(math.hypot(*original), rel=2e-3)
        first = np.arctan2(block[1::2], block[::2]) % (2 * math.pi)
        codes = (first / (2 * math.pi / 16)) - 0.5
        np.testing.assert_allclose(codes, np.round(codes), atol=1e-3)


@pytest.mark.parametrize(
    ("coder", "head_dim", "bits_per_value"),
    [
        (PerChannel(2, 32), 128, 3.0),
        (PerChannel(4, 64), 128, 4.5),
        (PerToken(2, 32), 128, 3.0),
        (PerToken(4, 64), 64, 4.5),
        (TurboQuant(4), 128, 4.125),
        (TurboQuant(2, outliers=True), 128, 2.5 + 1 / 640),
        (Polar(), 128, 3.875),
        (Polar(), 64, 3.875),
        (Rotated(4, scale="f16", group=128, centred=False), 128, 4.125),
    ],
    ids=repr,
)
def test_bits_counted_by_hand(coder: Coder, head_dim: int, bits_per_value: float) -> None:
    assert coder.stored_bits(640, 256, head_dim) / (640 * 256) == pytest.approx(bits_per_value)


def test_heads_that_are_no_multiple_of_the_block_take_fewer_levels() -> None:
    rows = ROWS[:, :80]
    assert Polar().code(rows, 40).shape == rows.shape  # 40 is 8 * 5: three levels
    assert Polar().stored_bits(1, 80, 40) == 80 * (4 / 2 + 2 / 4 + 2 / 8 + 16 / 8)
