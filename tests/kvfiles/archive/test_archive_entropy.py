"""The probability model is its formulas, and the range coder returns what was written or says so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from archive_samples import frequencies
from hypothesis import given, settings
from hypothesis import strategies as st

from kvfiles.codecs.archive.entropy import (
    BLOCK,
    MAX_Q,
    PRIOR_WEIGHTS,
    THRESHOLDS,
    Decoder,
    Encoder,
    StreamError,
    at_level,
    classes_of,
    shift_of,
)

FREQ, EXPECTED = frequencies()


def test_the_constants_are_their_formulas() -> None:
    steps = range(-8, 9)
    assert THRESHOLDS.tolist() == [round(65536 * 2 ** ((s - 0.5) / 2)) for s in steps]
    assert PRIOR_WEIGHTS.tolist() == [round(2048 * 2 ** (s / 2)) for s in steps]


@given(seen=st.integers(0, 10**6), expected=st.integers(2048, 10**6))
def test_the_shift_is_the_rounded_half_octave(seen: int, expected: int) -> None:
    exact = 2 * math.log2(seen / expected) if seen else -99.0
    shift = int(shift_of(np.array(seen), np.array(expected)))
    assert -8 <= shift <= 8
    assert abs(shift - min(max(exact, -8), 8)) <= 0.5001


def test_a_token_like_the_calibration_keeps_its_classes() -> None:
    """Where as much is seen as expected, no class moves; with nearly four times that, nearly two octaves."""
    base = np.full(256, 29, np.uint8)  # mean magnitude 4
    rng = np.random.default_rng(0)
    mean = EXPECTED[29] / 256
    q = np.clip(rng.poisson(mean, (50, 256)), 0, 12)
    classes, prior = classes_of(q, base, EXPECTED, np.zeros(50, np.int64))
    assert abs(classes.astype(int) - 29).mean() < 0.2
    assert set(prior.tolist()) <= {-1, 0, 1}
    low = np.full(256, 25, np.uint8)  # mean magnitude 1
    classes, prior = classes_of(q, low, EXPECTED, np.zeros(50, np.int64))
    assert set(classes[:, 128:].reshape(-1).tolist()) <= {28, 29}
    assert (classes[:, :BLOCK] == 25).all()
    assert set(prior.tolist()) <= {3, 4}


@given(
    values=st.lists(st.integers(-3000, 3000), min_size=2, max_size=2),
    levels=st.lists(st.integers(-500, 700), min_size=2, max_size=6, unique=True),
    log_g=st.integers(-1300, 800),
)
def test_classes_between_levels(values: list[int], levels: list[int], log_g: int) -> None:
    at = np.array(sorted(levels), np.int16)
    base = np.linspace(values[0], values[1], len(at)).astype(np.int16)[:, None]
    found = int(at_level(base, at, log_g)[0])
    exact = float(np.interp(log_g, at, base[:, 0])) + 2 * max(int(at[0]) - log_g, 0)
    assert abs(found - min(max(exact / 256 + 25, 0), 63)) <= 0.51


coefficients = st.one_of(
    st.just(0), st.integers(-3, 3), st.integers(-40, 40), st.sampled_from([MAX_Q, -MAX_Q, 15, -15, 16, -16])
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(coefficients, min_size=37, max_size=37), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
)
def test_what_was_written_is_read(rows: list[list[int]], seed: int) -> None:
    q = np.array(rows, np.int64)
    classes = np.random.default_rng(seed).integers(0, 64, q.shape).astype(np.uint8)
    writer = Encoder(FREQ)
    writer.tensor(q, classes)
    reader = Decoder(writer.stream(), FREQ)
    for row, of_row in zip(q.tolist(), classes.tolist(), strict=True):
        for at in range(0, len(row), BLOCK):
            assert reader.block(of_row[at : at + BLOCK]) == row[at : at + BLOCK]
    reader.finish()


def test_the_length_is_the_entropy() -> None:
    """Symbols drawn from a class cost its entropy, within 1 %."""
    rng = np.random.default_rng(0)
    k = 24
    p = FREQ[k].astype(np.float64) / 4096
    symbol = rng.choice(31, p=p[:31] / p[:31].sum(), size=(400, 256))
    q = np.where(symbol & 1, (symbol + 1) // 2, -(symbol // 2))
    writer = Encoder(FREQ)
    writer.tensor(q, np.full(q.shape, k, np.uint8))
    entropy = -(p[p > 0] * np.log2(p[p > 0])).sum()
    assert 16 * (len(writer.stream()) - 32) == pytest.approx(q.size * entropy, rel=0.01)


def test_streams_that_no_encoder_wrote() -> None:
    writer = Encoder(FREQ)
    q = np.random.default_rng(0).integers(-20, 20, (8, 32))
    classes = np.full(q.shape, 28, np.uint8)
    writer.tensor(q, classes)
    good = writer.stream()

    def read(stream: np.ndarray) -> list[list[int]]:
        reader = Decoder(stream, FREQ)
        found = [reader.block([28] * BLOCK) for _ in range(16)]
        reader.finish()
        return found

    assert read(good) == q.reshape(16, BLOCK).tolist()
    for bad in (good[:-1], np.append(good, 0).astype(np.uint16), good[:31], np.zeros_like(good), good[::-1]):
        with pytest.raises(StreamError):
            read(bad)
