"""How much attention tokens receive: against a plain softmax in float64, and against llama.cpp's logits."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from tiny_gguf import Architecture, TinySpec, write_model

from kvfiles.positions import RopeTables
from kvfiles.rope import RopeSpec, rotate, table
from kvfiles.runtime import Context, Model
from kvfiles.runtime.attention import FEW_QUERIES, attention_received, probabilities
from kvfiles.runtime.queries import LayerQueries, QueryReader, TextReading

SPEC = RopeSpec("neox", 16, 16, 10000.0)


def made_up(n: int, n_head: int, n_kv_head: int, positions: np.ndarray) -> TextReading:
    """One layer of random K and rotated queries at `positions`."""
    rng = np.random.default_rng(n)
    k = rng.normal(size=(n, n_kv_head * 16)).astype(np.float16)
    rows = rng.normal(size=(len(positions), n_head, 16)).astype(np.float32) * 2
    queries = LayerQueries(rows, positions.astype(np.int32))
    return TextReading((k,), (k,), (queries,))


def plainly(reading: TextReading, end: int, used: np.ndarray) -> np.ndarray:
    """(n_kv_head, end): every query by itself, in f64."""
    k, queries = reading.k[0].astype(np.float64), reading.queries[0]
    n, n_head = len(k), queries.rows.shape[1]
    heads = rotate(SPEC, k.reshape(n, -1, 16).astype(np.float32), table(SPEC, np.arange(n, dtype=np.int32)))
    out = np.zeros((heads.shape[1], end))
    for i in used:
        for head in range(n_head):
            of = head * heads.shape[1] // n_head
            logits = heads[: queries.positions[i] + 1, of].astype(np.float64) @ queries.rows[i, head] / 4.0
            p = np.exp(logits - logits.max())
            p /= p.sum()
            out[of] += p[:end] ** 2
    return out / (len(used) * n_head / heads.shape[1])


@pytest.mark.parametrize(("n_head", "n_kv_head"), [(4, 2), (3, 1), (2, 2), (6, 2)])
@pytest.mark.parametrize("n", [8, 50, 300])
def test_against_a_plain_softmax(n: int, n_head: int, n_kv_head: int) -> None:
    reading = made_up(n, n_head, n_kv_head, np.arange(n))
    found = attention_received(reading, RopeTables(SPEC, n_kv_head))
    assert [one.end for one in found] == [n // 2, 3 * n // 4]
    for one in found:
        used = np.arange(one.end, n)
        used = used[::2] if len(used) > FEW_QUERIES else used
        assert one.mean_square.dtype == np.float32
        np.testing.assert_allclose(one.mean_square[0], plainly(reading, one.end, used), rtol=2e-4, atol=1e-9)


def test_where_only_some_queries_are_known() -> None:
    """The last layer of a model has every eighth; behind the second end there may be none."""
    reading = made_up(20, 2, 1, np.array([7, 13]))
    half, later = attention_received(reading, RopeTables(SPEC, 1))
    np.testing.assert_allclose(half.mean_square[0], plainly(reading, 10, np.array([1])), rtol=2e-4)
    assert later.end == 15
    assert not later.mean_square.any()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_texts_of_a_few_tokens(n: int) -> None:
    reading = made_up(n, 2, 1, np.arange(n))
    for one in attention_received(reading, RopeTables(SPEC, 1)):
        assert 0 < one.end < n
        assert np.isfinite(one.mean_square).all()


def test_probabilities_of_wild_logits() -> None:
    rng = np.random.default_rng(0)
    queries, keys = (rng.normal(size=(9, 16)).astype(np.float32) * scale for scale in (1e3, 1e3))
    hidden = np.arange(9) > np.arange(9)[:, None]
    p = probabilities(queries, keys, hidden)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    assert not p[hidden].any()
    assert p[0, 0] == 1


@pytest.mark.parametrize("arch", ["llama", "qwen2"])
def test_the_probabilities_are_the_model_s(tmp_path: Path, arch: Architecture) -> None:
    """They weigh V to what llama.cpp's attention puts out, told by the logits of a model of one layer."""
    path = write_model(tmp_path / "m.gguf", TinySpec(arch=arch, n_layer=1))
    weights = {t.name: np.array(t.data).astype(np.float64) for t in gguf.GGUFReader(path).tensors}
    tokens = np.random.default_rng(0).integers(3, 259, 24).astype(np.int32)
    model = Model(path)
    with QueryReader(model, n_tokens=24, n_threads=1) as reader:
        found = reader.read(tokens)
    spec = model.rope
    context = Context(model, n_ctx=64, n_threads=1, cache_type="f16")
    logits = context.decode(tokens, 0, logits="all")
    context.close()
    model.close()
    queries, n_kv_head = found.queries[0], model.shape.n_kv_head
    keys = rotate(spec, found.k[0].astype(np.float32).reshape(24, n_kv_head, -1),
                  table(spec, np.arange(24, dtype=np.int32)))  # fmt: skip
    values = found.v[0].astype(np.float64).reshape(24, n_kv_head, -1)
    n_head = queries.rows.shape[1]
    hidden = np.arange(24) > queries.positions[:, None]
    heads = []
    for head in range(n_head):
        of = head * n_kv_head // n_head
        heads.append(probabilities(queries.rows[:, head], keys[:, of], hidden) @ values[:, of])
    at = queries.positions
    x = weights["token_embd.weight"][tokens[at]] + np.hstack(heads) @ weights["blk.0.attn_output.weight"].T
    want = rest_of(x, weights)
    got = np.asarray(logits, np.float64)[at]
    assert np.abs(got - want).max() < 0.01 * np.abs(want).max()


def rest_of(x: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """The feed-forward part of the layer and the output."""

    def normed(rows: np.ndarray, name: str) -> np.ndarray:
        return rows / np.sqrt(np.square(rows).mean(1, keepdims=True) + 1e-5) * weights[name]

    h = normed(x, "blk.0.ffn_norm.weight")
    gate = h @ weights["blk.0.ffn_gate.weight"].T
    inner = gate / (1 + np.exp(-gate)) * (h @ weights["blk.0.ffn_up.weight"].T)
    x = x + inner @ weights["blk.0.ffn_down.weight"].T
    out = weights.get("output.weight", weights["token_embd.weight"])
    return normed(x, "output_norm.weight") @ out.T
