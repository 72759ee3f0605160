"""The check that a model's keys can be moved: passed by those we know, failed by those that cannot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_gguf import TinySpec, write_model

from kvfiles.positions import RopeTables
from kvfiles.runtime import Context, Model
from kvfiles.selfcheck import relocation_error

MOVABLE = [
    TinySpec("llama", 64),
    TinySpec("llama", 128, n_head=2, factors=True, base=500000.0),
    TinySpec("qwen2", 64),
    TinySpec("qwen3", 80),
    TinySpec("gptneox", 96, n_rot=24, n_kv_head=4),
    TinySpec("glm4", 128, n_head=2, n_rot=64),
    TinySpec("qwen2", 128, n_head=2, base=1e6, scaling="yarn", scaling_factor=4.0, original_context=8192),
    TinySpec("smollm3", 64, n_layer=3),  # the fourth layer would be the first one without RoPE
]


def checked(model: Model, tables: RopeTables | None = None) -> str | None:
    context = Context(model, n_ctx=1024, n_threads=1)
    try:
        error = relocation_error(context, model, tables or RopeTables(model.rope, model.shape.n_kv_head))
        assert (context.end(0), context.end(1)) == (0, 0), "the context is empty again"
        return error
    finally:
        context.close()


@pytest.fixture
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Model]:
    model = Model(write_model(tmp_path / "tiny.gguf", request.param))
    yield model
    model.close()


@pytest.mark.parametrize("tiny", MOVABLE, ids=lambda spec: f"{spec.arch}-{spec.head_dim}", indirect=True)
def test_models_that_can_be_moved(tiny: Model) -> None:
    assert checked(tiny) is None


@pytest.mark.parametrize("tiny", [TinySpec("smollm3", 64, n_layer=5)], ids=["smollm3"], indirect=True)
def test_a_layer_without_rope_is_found(tiny: Model) -> None:
    """SmolLM3 leaves every fourth layer without positions, which no metadata says."""
    assert "layer 3" in (checked(tiny) or "")


@pytest.mark.parametrize(
    "tiny", [TinySpec("llama", 64), TinySpec("qwen2", 64)], ids=["norm", "neox"], indirect=True
)
def test_a_wrong_rotation_is_found(tiny: Model) -> None:
    rope, n = tiny.rope, tiny.shape.n_kv_head
    other = "neox" if rope.pairing == "norm" else "norm"
    for wrong in (
        replace(rope, pairing=other),
        replace(rope, base=rope.base * 1.05),
        replace(rope, freq_scale=0.5),
        replace(rope, n_rot=rope.n_rot // 2),
        replace(rope, factors=tuple([1.0] * 16 + [2.0] * 16)),
    ):
        assert "layer 0" in (checked(tiny, RopeTables(wrong, n)) or ""), wrong


@pytest.mark.model
def test_smollm2_can_be_moved(small_model: Model) -> None:
    assert checked(small_model) is None


@pytest.mark.default_model
@pytest.mark.slow
def test_qwen25_can_be_moved(default_model_path: Path) -> None:
    model = Model(default_model_path)
    try:
        assert checked(model) is None
    finally:
        model.close()
