"""Queries that llama.cpp computes: they meet un-rotated keys with the logits of rotated ones."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from tiny_gguf import Architecture, TinySpec, write_model

from kvfiles.errors import UnsupportedModel
from kvfiles.rope import RopeSpec, rotate, table
from kvfiles.runtime import Model
from kvfiles.runtime.queries import OUTPUT_EVERY, QueryMoments, QueryReader

TOKENS = np.random.default_rng(0).integers(3, 259, 40).astype(np.int32)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny.gguf", TinySpec(n_layer=2))


@pytest.mark.parametrize(
    "arch", ["llama", "qwen2", "qwen3", "stablelm", "phi2", "gptneox", "glm4", "smollm3"]
)
def test_every_architecture_shows_its_queries(tmp_path: Path, arch: Architecture) -> None:
    n_kv_head = 4 if arch in ("phi2", "gptneox", "stablelm") else 2
    model = Model(write_model(tmp_path / "m.gguf", TinySpec(arch=arch, n_kv_head=n_kv_head)))
    try:
        with QueryReader(model, n_tokens=64, n_threads=1) as reader:
            found = reader.read(TOKENS)
            moments = QueryMoments(reader)
            moments.add(found.queries)
    finally:
        model.close()
    assert len(found.k) == len(found.v) == len(found.queries) == 2
    assert found.k[0].shape == (40, 32 * n_kv_head)
    assert found.queries[0].rows.shape == (40, 4, 32)
    assert len(found.queries[1].rows) in (40, 40 // OUTPUT_EVERY)
    assert (np.linalg.eigvalsh(moments.mean()) > -1e-6).all()
    assert np.trace(moments.mean()[1, 0]) > 0


def test_the_queries_are_the_model_s(tiny: Path) -> None:
    """Layer 0 from the weights: embedding, RMS norm, matrix, RoPE; written out in NumPy."""
    weights = {t.name: np.array(t.data) for t in gguf.GGUFReader(tiny).tensors}
    x = weights["token_embd.weight"][TOKENS].astype(np.float64)
    x = x / np.sqrt(np.square(x).mean(1, keepdims=True) + 1e-5) * weights["blk.0.attn_norm.weight"]
    q = (x @ weights["blk.0.attn_q.weight"].T).reshape(40, 4, 32).astype(np.float32)
    spec = RopeSpec("norm", 32, 32, 10000.0)
    expected = rotate(spec, q, table(spec, np.arange(40, dtype=np.int32)))
    model = Model(tiny)
    with QueryReader(model, n_tokens=40, n_threads=1) as reader:
        found = reader.read(TOKENS)
    model.close()
    assert np.abs(found.queries[0].rows - expected).max() < 1e-3 * np.abs(expected).max()
    k = x @ weights["blk.0.attn_k.weight"].T
    assert np.abs(found.k[0] - k).max() < 2e-3 * np.abs(k).max()


@pytest.mark.parametrize("arch", ["llama", "qwen2"])
def test_rotating_queries_back_keeps_logits(tmp_path: Path, arch: Architecture) -> None:
    model = Model(write_model(tmp_path / "m.gguf", TinySpec(arch=arch)))
    spec = model.rope
    with QueryReader(model, n_tokens=40, n_threads=1) as reader:
        found = reader.read(TOKENS)
        queries = found.queries[0]
        keys = np.random.default_rng(1).integers(0, queries.positions + 1).astype(np.int32)
        back = reader.unrotated(queries, keys)
    model.close()
    plain = found.k[0].astype(np.float32).reshape(40, 2, 32)
    rotated = rotate(spec, plain, table(spec, np.arange(40, dtype=np.int32)))
    for head in range(4):
        before = (queries.rows[:, head] * rotated[keys, head // 2]).sum(1)
        after = (back[:, head] * plain[keys, head // 2]).sum(1)
        assert np.allclose(before, after, atol=1e-3 * np.abs(before).max())


def test_moments_are_means_over_the_heads_of_a_group(tiny: Path) -> None:
    model = Model(tiny)
    with QueryReader(model, n_tokens=64, n_threads=1) as reader:
        found = reader.read(TOKENS[:1])  # only position 0: nothing is rotated, nothing is random
        moments = QueryMoments(reader)
        assert not moments.mean().any()
        moments.add(found.queries)
        moments.add(found.queries)
    model.close()
    q = found.queries[0].rows[0].astype(np.float64)
    assert np.allclose(moments.mean()[0, 1], (np.outer(q[2], q[2]) + np.outer(q[3], q[3])) / 2, rtol=1e-5)


def test_a_text_leaves_nothing_behind(tiny: Path) -> None:
    model = Model(tiny)
    with QueryReader(model, n_tokens=64, n_threads=1) as reader:
        fresh = reader.read(TOKENS[:20])
        reader.read(TOKENS[::-1])
        again = reader.read(TOKENS[:20])
        with pytest.raises(ValueError, match="65 tokens"):
            reader.read(np.zeros(65, np.int32))
    model.close()
    assert (np.stack(fresh.k) == np.stack(again.k)).all()
    assert (fresh.queries[0].rows == again.queries[0].rows).all()


def test_a_model_whose_queries_have_another_name_is_refused(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvfiles.runtime.queries._NAME", b"other-")
    model = Model(tiny)
    with (
        QueryReader(model, n_tokens=64, n_threads=1) as reader,
        pytest.raises(UnsupportedModel, match="queries cannot be read"),
    ):
        reader.read(TOKENS)
    model.close()


@pytest.mark.model
def test_a_real_model(small_model: Model) -> None:
    tokens = small_model.tokenize("The keeper at Skerry Point was 48 years old when the lamp was lit again.")
    with QueryReader(small_model, n_tokens=64, n_threads=1) as reader:
        found = reader.read(tokens)
    assert found.queries[29].rows.shape[1:] == (9, 64)
    assert found.k[0].shape == (len(tokens), 192)
