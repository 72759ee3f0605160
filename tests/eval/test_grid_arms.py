"""The experiment's own coding against the codec that came out of it."""

from __future__ import annotations

import numpy as np
import pytest

from beyondrag.errors import UsageError
from eval.fidelity import Plan
from eval.grid_arms import ARMS, Arm, chosen_arms, code, measure_arms, parse_bits
from eval.rig import Rig
from eval.texts import measured_texts
from kvfiles.codecs import codec_named
from kvfiles.codecs.reference import NumpyKernels
from kvfiles.codecs.rotated import RotatedCodec
from kvfiles.kernels import RowTarget, empty_layers
from kvfiles.runtime import Model, ModelShape

HEAD_DIM = 64
ROWS = (np.random.default_rng(1).standard_normal((80, 192)) * 3 + np.arange(192) / 10).astype(np.float16)
SHAPE = ModelShape(1, 3, HEAD_DIM, HEAD_DIM)


@pytest.mark.parametrize("bits", [3, 4, 5])
def test_the_first_arm_is_the_codec(bits: int) -> None:
    codec = codec_named(f"k{bits}v{bits}", SHAPE, NumpyKernels())
    assert isinstance(codec, RotatedCodec)
    kernels, sink = NumpyKernels(), codec.n_sink
    coded = empty_layers(1, len(ROWS) - sink, 192, bits)
    kernels.encode(ROWS[sink:], None, codec._v, coded, 0)
    blob = np.empty((len(ROWS) - sink) * 192 * 2, np.uint8)
    kernels.decode(coded, None, codec._v, RowTarget(blob, 0, 0))
    wanted = blob.view(np.float16).reshape(-1, 192).astype(np.float32)
    found = code(ROWS.astype(np.float32), bits, ARMS[0], HEAD_DIM)
    np.testing.assert_array_equal(found[:sink], ROWS[:sink].astype(np.float32))
    close = np.isclose(found[sink:], wanted, rtol=2e-3, atol=2e-3)
    assert close.mean() > 0.998  # a value on an edge may fall to either side


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_many_bits_change_little_and_few_bits_more(arm: Arm) -> None:
    rows = ROWS.astype(np.float32)
    fine, coarse = (np.abs(code(rows, bits, arm, HEAD_DIM) - rows).mean() for bits in (8, 3))
    assert fine < 0.08
    assert coarse > 5 * fine


def test_bits_are_the_codec_s_own() -> None:
    codec = codec_named("k5v4", SHAPE, NumpyKernels())
    wanted = codec.bits_per_value(1000, SHAPE.k_width, SHAPE.v_width)
    assert ARMS[0].bits_per_value((5, 4), 1000, SHAPE) == pytest.approx(wanted, abs=1e-3)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="no arm"):
        chosen_arms(["the codec", "magic"])
    with pytest.raises(UsageError, match="no bits"):
        parse_bits("k9v1")
    assert chosen_arms([]) == ARMS
    assert parse_bits("k5v4") == (5, 4)


@pytest.mark.model
@pytest.mark.slow
def test_arms_on_a_model(small_model: Model) -> None:
    plan = Plan(160, 16)
    with Rig(small_model.path, 2) as rig:
        texts = measured_texts(rig.model, [], plan.text_tokens)[:1]
        arms = chosen_arms(["the codec", "not rotated"])
        fine, rough = (measure_arms(rig, texts, arms, bits, plan) for bits in ((8, 8), (2, 2)))
    assert 0 <= fine[0].summary.kld_mean < 0.02
    assert rough[0].summary.kld_mean > 5 * fine[0].summary.kld_mean
    assert rough[0].interval[0] <= rough[0].summary.kld_mean <= rough[0].interval[1]
