"""RoPE: undone and redone by us, it must land where llama.cpp itself puts the same keys.

Two oracles inside llama.cpp: a prefill of the same tokens at another offset, and its own K-shift.
One outside: the formulas in double precision (complex multiplication; YaRN from the paper, arXiv:2309.00071).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_gguf import TinySpec, llama3_factors, write_model

from kvfiles.codecs.reference import rotate_rows
from kvfiles.positions import RopeTables
from kvfiles.rope import RopeSpec, RopeTable, angles, magnitude, pair_slices, rotate, table
from kvfiles.runtime import Context, Model
from kvfiles.state_blob import StateView, read_state

F32 = NDArray[np.float32]

F16_STEP = 2.0**-11
"""Largest relative error of one rounding to f16."""

KINDS = {
    "llama norm 32": TinySpec("llama", 32),
    "llama norm 64": TinySpec("llama", 64, base=100000.0, f16=True),
    "llama norm 128 one head": TinySpec("llama", 128, n_head=2, n_kv_head=1, base=500000.0),
    "llama linear 4": TinySpec("llama", 64, scaling="linear", scaling_factor=4.0),
    "llama scaling none": TinySpec("llama", 64, scaling="none", scaling_factor=4.0),
    "llama 3 factors": TinySpec("llama", 128, n_head=2, n_kv_head=2, base=500000.0, factors=True),
    "llama yarn 4": TinySpec("llama", 64, scaling="yarn", scaling_factor=4.0, original_context=4096),
    "qwen2 neox 64": TinySpec("qwen2", 64),
    "qwen2 yarn 4": TinySpec(
        "qwen2", 128, n_head=2, base=1e6, scaling="yarn", scaling_factor=4.0, original_context=8192
    ),
    "qwen2 linear 4": TinySpec("qwen2", 96, scaling="linear", scaling_factor=4.0, f16=True),
    "qwen3 neox 80": TinySpec("qwen3", 80, base=1e6),
    "stablelm partial 16 of 64": TinySpec("stablelm", 64, n_rot=16),
    "phi2 partial 32 of 80": TinySpec("phi2", 80, n_rot=32),
    "gptneox partial 24 of 96": TinySpec("gptneox", 96, n_rot=24, n_kv_head=4, base=500000.0),
    "glm4 norm partial 64 of 128": TinySpec("glm4", 128, n_head=2, n_rot=64),
}

OFFSETS = (1, 777, 5003, 30011)
N_TOKENS = 40


def opened(tmp_path: Path, spec: TinySpec) -> tuple[Model, Context]:
    model = Model(write_model(tmp_path / "tiny.gguf", spec))
    return model, Context(model, n_ctx=256, n_threads=1)


def keys(model: Model, state: StateView, layer: int = 0, n: int | None = None) -> F32:
    """(n, n_kv_head, head_dim) f32."""
    shape = model.shape
    return state.k[layer][:n].astype(np.float32).reshape(-1, shape.n_kv_head, shape.k_head_dim)


def relocated(spec: RopeSpec, k: F32, first: int, offset: int) -> F32:
    here = np.arange(first, first + len(k), dtype=np.int32)
    return rotate(spec, rotate(spec, k, table(spec, here), inverse=True), table(spec, here + offset - first))


def f16_steps(spec: RopeSpec, ours: F32, theirs: F32) -> float:
    """The largest distance of a pair, in roundings to f16 of the pair's length."""
    first, second = pair_slices(spec)
    length = np.hypot(theirs[..., first], theirs[..., second])
    distance = np.hypot((ours - theirs)[..., first], (ours - theirs)[..., second])
    rest = np.abs(ours - theirs)[..., spec.n_rot :].max(initial=0.0)
    assert rest == 0.0, "channels without rotation must not change"
    return float((distance / length).max() / F16_STEP)


@pytest.fixture(params=KINDS, ids=lambda name: name.replace(" ", "-"))
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    model, context = opened(tmp_path, KINDS[request.param])
    yield KINDS[request.param], model, context
    context.close()
    model.close()


TOKENS = np.arange(3, 3 + N_TOKENS, dtype=np.int32)


class TestAgainstLlamaCpp:
    def test_specification_is_read_from_the_metadata(self, tiny: tuple[TinySpec, Model, Context]) -> None:
        kind, model, _ = tiny
        rope = model.rope
        assert rope.pairing == ("norm" if kind.arch in ("llama", "glm4") else "neox")
        assert (rope.head_dim, rope.n_rot) == (kind.head_dim, kind.n_rot or kind.head_dim)
        assert rope.base == kind.base
        assert rope.freq_scale == (0.25 if kind.scaling in ("linear", "yarn") else 1.0)
        assert (rope.ext_factor != 0) == (kind.scaling == "yarn")
        assert len(rope.factors) == (rope.n_rot // 2 if kind.factors else 0)

    def test_relocated_keys_equal_a_prefill_at_that_offset(
        self, tiny: tuple[TinySpec, Model, Context]
    ) -> None:
        _, model, context = tiny
        for offset in OFFSETS:
            context.clear()
            context.decode(TOKENS, 0, seq=0, logits="none")
            context.decode(TOKENS, offset, seq=1, logits="none")
            here = read_state(context.state(0), model.architecture)
            there = read_state(context.state(1), model.architecture)
            assert there.positions[0] == offset
            ours = relocated(model.rope, keys(model, here), 0, offset)
            naive = f16_steps(model.rope, keys(model, here), keys(model, there))
            assert f16_steps(model.rope, ours, keys(model, there)) < 3.0, offset  # two roundings a pair
            assert naive > 100.0, "the test would not notice a wrong rotation"
            np.testing.assert_array_equal(here.v[0], there.v[0])

    def test_relocated_keys_equal_llama_cpps_own_shift(self, tiny: tuple[TinySpec, Model, Context]) -> None:
        _, model, context = tiny
        for offset in OFFSETS:
            context.clear()
            context.decode(TOKENS, 0, logits="none")
            before = keys(model, read_state(context.state(), model.architecture))
            context.shift(0, -1, -1, offset)
            context.decode(TOKENS[:1], offset + N_TOKENS, logits="none")  # the shift is applied now
            state = read_state(context.state(), model.architecture)
            np.testing.assert_array_equal(state.positions, np.arange(offset, offset + N_TOKENS + 1))
            # llama.cpp's shift scales keys by YaRN's magnitude once more, a fresh prefill does not
            theirs = keys(model, state, n=N_TOKENS) / np.float32(magnitude(model.rope))
            ours = relocated(model.rope, before, 0, offset)
            # their angle is the offset's alone, so f32 angles of far positions round differently
            assert f16_steps(model.rope, ours, theirs) < (2.0 if offset < 6000 else 8.0), offset

    def test_the_way_back_is_the_way_there_undone(self, tiny: tuple[TinySpec, Model, Context]) -> None:
        """Documents may also move to the front: from a far position to 0."""
        _, model, context = tiny
        context.decode(TOKENS, 9000, seq=1, logits="none")
        context.decode(TOKENS, 0, seq=0, logits="none")
        far = keys(model, read_state(context.state(1), model.architecture))
        near = keys(model, read_state(context.state(0), model.architecture))
        assert f16_steps(model.rope, relocated(model.rope, far, 9000, 0), near) < 3.0


class TestFormula:
    specs = st.builds(
        RopeSpec,
        pairing=st.sampled_from(["norm", "neox"]),
        head_dim=st.just(64),
        n_rot=st.sampled_from([2, 16, 20, 48, 64]),
        base=st.sampled_from([10000.0, 500000.0, 1e6]),
        freq_scale=st.sampled_from([1.0, 0.25]),
    )

    @given(specs, st.integers(0, 100_000), st.integers(0, 2**32 - 1))
    def test_inverse_undoes_and_norms_stay(self, spec: RopeSpec, first: int, seed: int) -> None:
        x = np.random.default_rng(seed).standard_normal((3, 2, 64)).astype(np.float32)
        turn = table(spec, np.arange(first, first + 3, dtype=np.int32))
        turned = rotate(spec, x, turn)
        np.testing.assert_allclose(rotate(spec, turned, turn, inverse=True), x, atol=2e-6)
        np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), np.linalg.norm(x, axis=-1), rtol=2e-6)
        np.testing.assert_array_equal(turned[..., spec.n_rot :], x[..., spec.n_rot :])

    @given(st.integers(0, 50_000), st.integers(0, 2**32 - 1), st.sampled_from([8, 20, 64]))
    def test_norm_and_neox_differ_by_a_permutation(self, position: int, seed: int, n_rot: int) -> None:
        x = np.random.default_rng(seed).standard_normal((1, 1, 64)).astype(np.float32)
        norm, neox = RopeSpec("norm", 64, n_rot, 10000.0), RopeSpec("neox", 64, n_rot, 10000.0)
        order = np.r_[0:n_rot:2, 1:n_rot:2, n_rot:64]  # NEOX channel j holds NORM channel order[j]
        turn = table(norm, np.array([position], np.int32))
        np.testing.assert_array_equal(rotate(neox, x[..., order], turn), rotate(norm, x, turn)[..., order])

    @given(specs, st.integers(0, 4000), st.integers(0, 2**32 - 1))
    def test_equals_complex_multiplication_in_double_precision(
        self, spec: RopeSpec, position: int, seed: int
    ) -> None:
        x = np.random.default_rng(seed).standard_normal((1, 1, 64)).astype(np.float32)
        first, second = pair_slices(spec)
        i = np.arange(spec.n_rot // 2)
        angle = position * spec.freq_scale * spec.base ** (-2.0 * i / spec.n_rot)
        z = (x[..., first].astype(np.float64) + 1j * x[..., second]) * np.exp(1j * angle)
        got = rotate(spec, x, table(spec, np.array([position], np.int32)))
        np.testing.assert_allclose(got[..., first], z.real, atol=3e-3)  # f32 angles of up to 4,000 radians
        np.testing.assert_allclose(got[..., second], z.imag, atol=3e-3)

    @given(specs, st.integers(0, 5000), st.integers(1, 40), st.booleans(), st.integers(0, 2**32 - 1))
    def test_the_kernels_table_is_the_same_rotation(
        self, spec: RopeSpec, first: int, n: int, inverse: bool, seed: int
    ) -> None:
        rows = np.random.default_rng(seed).standard_normal((n, 2 * 64)).astype(np.float32)
        tables = RopeTables(spec, 2)
        tables.at(0, 3)  # grown in steps, as it is used
        rope = tables.at(first, n)
        turn = table(spec, np.arange(first, first + n, dtype=np.int32))
        want = rotate(spec, rows.reshape(n, 2, 64), turn, inverse=inverse).reshape(n, 128)
        got = rotate_rows(rows, rope.inverse() if inverse else rope)
        np.testing.assert_allclose(got, want, atol=1e-6)
        part = rope.rows(n // 2, n)
        np.testing.assert_array_equal(part.cos, rope.cos[n // 2 :])

    def test_llama3_factors_divide_the_frequencies(self) -> None:
        factors = llama3_factors(64)
        spec = RopeSpec("norm", 64, 64, 500000.0, factors=tuple(float(f) for f in factors))
        plain = RopeSpec("norm", 64, 64, 500000.0)
        positions = np.array([0, 1, 500], np.int32)
        np.testing.assert_allclose(angles(spec, positions), angles(plain, positions) / factors, rtol=1e-6)
        assert factors[0] == 1.0
        assert factors[-1] == 8.0

    def test_yarn_blends_as_in_the_paper(self) -> None:
        """theta' = (1-gamma) theta/s + gamma theta, where gamma ramps over the rotations in the context."""
        dim, base, factor, trained = 128, 1e6, 4.0, 8192
        spec = RopeSpec("neox", dim, dim, base, 1 / factor, ext_factor=1.0, n_ctx_orig=trained)
        i = np.arange(dim // 2)
        theta = base ** (-2.0 * i / dim)

        def dimension(rotations: float) -> float:  # where a pair turns that often within the context
            return dim * math.log(trained / (rotations * 2 * math.pi)) / (2 * math.log(base))

        low, high = math.floor(dimension(32)), math.ceil(dimension(1))
        gamma = 1 - np.clip((i - low) / (high - low), 0, 1)
        want = (1 - gamma) * theta / factor + gamma * theta
        np.testing.assert_allclose(angles(spec, np.array([1], np.int32))[0], want, rtol=1e-5)
        assert gamma[0] == 1.0
        assert gamma[-1] == 0.0
        assert magnitude(spec) == pytest.approx(1 + 0.1 * math.log(factor))

    def test_describe_is_complete(self) -> None:
        spec = RopeSpec("norm", 64, 64, 10000.0, factors=(1.0, 2.0))
        assert set(spec.describe()) == set(RopeSpec.__dataclass_fields__)

    def test_position_zero_is_the_identity(self) -> None:
        spec = RopeSpec("neox", 8, 8, 10000.0)
        turn = table(spec, np.zeros(1, np.int32))
        assert isinstance(turn, RopeTable)
        np.testing.assert_array_equal(turn.cos, 1)
        np.testing.assert_array_equal(turn.sin, 0)


def check_real_model(model: Model, offset: int) -> None:
    context = Context(model, n_ctx=256, n_threads=1)
    try:
        tokens = model.tokenize("The pilot flew over the hills near Belen when the engine lost power.")
        context.decode(tokens, 0, seq=0, logits="none")
        context.decode(tokens, offset, seq=1, logits="none")
        here = read_state(context.state(0), model.architecture)
        there = read_state(context.state(1), model.architecture)
        ours = relocated(model.rope, keys(model, here), 0, offset)
        assert f16_steps(model.rope, ours, keys(model, there)) < 3.0
        middle = model.shape.n_layer // 2  # deeper layers also carry what rounding did to the activations
        theirs = keys(model, there, middle)
        size = np.abs(theirs).mean()
        assert (
            np.abs(relocated(model.rope, keys(model, here, middle), 0, offset) - theirs).mean() < 0.05 * size
        )
        assert np.abs(keys(model, here, middle) - theirs).mean() > 0.2 * size
    finally:
        context.close()


@pytest.mark.model
@pytest.mark.parametrize("offset", [5, 3000])
def test_smollm2(small_model: Model, offset: int) -> None:
    assert small_model.rope.pairing == "norm"
    check_real_model(small_model, offset)


@pytest.mark.default_model
@pytest.mark.slow
def test_qwen25(default_model_path: Path) -> None:
    model = Model(default_model_path)
    try:
        assert model.rope.pairing == "neox"
        check_real_model(model, 20_000)
    finally:
        model.close()
