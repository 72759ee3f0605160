"""The state blob: our layout is llama.cpp's byte for byte, and a mangled blob is a typed error."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_gguf import TinySpec, write_model

from kvfiles.errors import DecodeError, UnsupportedModel
from kvfiles.runtime import Context, Model
from kvfiles.state_blob import (
    GGML_TYPE_F16,
    GGML_TYPE_Q8_0,
    STATE_MAGIC,
    BlobLayout,
    read_layout,
    read_state,
    row_bytes,
    write_frame,
)

U8 = NDArray[np.uint8]
TOKENS = np.arange(3, 40, dtype=np.int32)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    spec = TinySpec("qwen2", 64, n_head=3, n_kv_head=1, n_layer=3)
    model = Model(write_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf", spec))
    yield model
    model.close()


@pytest.fixture
def context(tiny: Model) -> Iterator[Context]:
    context = Context(tiny, n_ctx=256, n_threads=1)
    yield context
    context.close()


def layout_of(model: Model, n: int, ggml_type: int = GGML_TYPE_F16) -> BlobLayout:
    shape = model.shape
    return BlobLayout(n, shape.n_layer, shape.k_width, shape.v_width, ggml_type)


def test_frame_and_rows_are_llama_cpps_own_blob(tiny: Model, context: Context) -> None:
    context.decode(TOKENS, 5, seq=2, logits="none")
    blob = context.state(2)
    state = read_state(blob, "qwen2")
    layout = layout_of(tiny, len(TOKENS))
    ours = np.full(layout.size, 0xEE, np.uint8)
    write_frame(layout, np.arange(5, 5 + len(TOKENS), dtype=np.int32), ours, seq=2)
    for layer in range(layout.n_layer):
        for offset, rows in (
            (layout.k_offset(layer), state.k[layer]),
            (layout.v_offset(layer), state.v[layer]),
        ):
            raw = np.ascontiguousarray(rows).view(np.uint8).reshape(-1)
            ours[offset : offset + raw.size] = raw
    assert bytes(ours) == bytes(blob)


def test_layout_is_the_documented_one() -> None:
    """Sizes written out by hand for 2 cells, 2 layers, K of 64 values, V of 32."""
    layout = BlobLayout(2, 2, 64, 32)
    assert layout.k_offset(0) == 16 + 2 * 12 + 8 + 12
    assert layout.k_offset(1) == layout.k_offset(0) + 2 * 128 + 12
    assert layout.v_offset(0) == layout.k_offset(1) + 2 * 128 + 12
    assert layout.v_offset(1) == layout.v_offset(0) + 2 * 64 + 12
    assert layout.size == layout.v_offset(1) + 2 * 64
    assert row_bytes(64, GGML_TYPE_Q8_0) == 2 * (2 + 32)


def test_a_restored_state_gives_identical_logits(tiny: Model, context: Context) -> None:
    context.decode(TOKENS, 0, logits="none")
    blob = context.state()
    want = context.decode(TOKENS[:4], len(TOKENS), logits="all")
    context.clear()
    context.set_state(blob)
    assert context.end() == len(TOKENS)
    np.testing.assert_array_equal(context.state(), blob)
    np.testing.assert_array_equal(context.decode(TOKENS[:4], len(TOKENS), logits="all"), want)


def test_a_state_may_go_to_another_sequence(tiny: Model, context: Context) -> None:
    context.decode(TOKENS, 0, logits="none")
    blob = context.state()
    context.set_state(blob, seq=3)
    state = read_state(context.state(3), "qwen2")
    np.testing.assert_array_equal(state.k[1], read_state(blob, "qwen2").k[1])
    assert (context.end(0), context.end(3), context.end(1)) == (len(TOKENS), len(TOKENS), 0)


def test_q8_blobs_have_a_layout_but_no_snapshot(tiny: Model) -> None:
    context = Context(tiny, n_ctx=256, n_threads=1, cache_type="q8_0")
    context.decode(TOKENS, 0, logits="none")
    blob = context.state()
    context.close()
    layout, positions = read_layout(blob, "qwen2")
    assert layout == layout_of(tiny, len(TOKENS), GGML_TYPE_Q8_0)
    np.testing.assert_array_equal(positions, np.arange(len(TOKENS)))
    with pytest.raises(UnsupportedModel, match="f16"):
        read_state(blob, "qwen2")


def test_views_share_the_blobs_memory(tiny: Model, context: Context) -> None:
    context.decode(TOKENS, 0, logits="none")
    blob = context.state()
    state = read_state(blob, "qwen2")
    assert all(np.shares_memory(rows, blob) for rows in (*state.k, *state.v))
    assert state.n_cells == len(TOKENS)
    assert state.k[0].shape == (len(TOKENS), tiny.shape.k_width)


def test_an_empty_sequence_has_no_state_to_store(context: Context) -> None:
    with pytest.raises(UnsupportedModel, match="unknown layout"):
        read_layout(context.state(), "qwen2")


def test_llama_cpp_refuses_a_foreign_blob_and_the_context_lives_on(tiny: Model, context: Context) -> None:
    want = context.decode(TOKENS, 0)
    shape = tiny.shape
    other = BlobLayout(8, shape.n_layer + 1, shape.k_width, shape.v_width)
    blob = np.zeros(other.size, np.uint8)
    write_frame(other, np.arange(8, dtype=np.int32), blob)
    with pytest.raises(DecodeError, match="refused"):
        context.set_state(blob)
    context.clear()
    np.testing.assert_array_equal(context.decode(TOKENS, 0), want)


# ------------------------------------------------------------------ hostile blobs


def sample(n: int = 3, n_layer: int = 2, ggml_type: int = GGML_TYPE_F16) -> U8:
    layout = BlobLayout(n, n_layer, 32, 32, ggml_type)
    blob = np.zeros(layout.size, np.uint8)
    write_frame(layout, np.arange(n, dtype=np.int32), blob)
    return blob


def refuse(blob: U8) -> None:
    with pytest.raises(UnsupportedModel, match="architecture thing"):
        read_layout(blob, "thing")


def test_every_truncation_and_extension_is_refused() -> None:
    blob = sample()
    read_layout(blob, "thing")
    for length in range(len(blob)):
        refuse(blob[:length])
    refuse(np.concatenate([blob, np.zeros(1, np.uint8)]))


@pytest.mark.parametrize(
    ("at", "value", "why"),
    [
        (0, struct.pack("<I", STATE_MAGIC + 1), "unknown layout"),
        (8, struct.pack("<I", 2), "unknown layout"),  # two streams: not a unified cache
        (12, struct.pack("<I", 0), "unknown layout"),
        (12, struct.pack("<I", 0xFFFFFFFF), "truncated"),
        (20, struct.pack("<I", 2), "not a single plain sequence"),
        (52, struct.pack("<I", 1), "transposed"),
        (56, struct.pack("<I", 0), "not a single plain sequence"),
        (56, struct.pack("<I", 0xFFFFFFFF), "not a single plain sequence"),
        (60, struct.pack("<i", 2), "cache types"),
        (64, struct.pack("<Q", 0xFFFFFFFFFFFFFFFF), "unknown layout"),
        (64, struct.pack("<Q", 1 << 62), "unknown layout"),
    ],
)
def test_each_field_is_checked(at: int, value: bytes, why: str) -> None:
    blob = sample()
    blob[at : at + len(value)] = np.frombuffer(value, np.uint8)
    with pytest.raises(UnsupportedModel, match=why):
        read_layout(blob, "thing")


def test_layers_of_different_width_are_refused() -> None:
    layout = BlobLayout(3, 2, 32, 32)
    blob = sample()
    at = layout.k_offset(1) - 8
    blob[at : at + 8] = np.frombuffer(struct.pack("<Q", 128), np.uint8)
    with pytest.raises(UnsupportedModel, match="different width"):
        read_layout(blob, "thing")


@given(
    st.sampled_from([GGML_TYPE_F16, GGML_TYPE_Q8_0]),
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 255)), min_size=1, max_size=12),
    st.integers(0, 40),
)
def test_mutations_give_a_layout_that_fits_or_a_typed_error(
    ggml_type: int, changes: list[tuple[int, int]], cut: int
) -> None:
    """Only header bytes are changed (rows cannot be wrong); whatever is accepted must lie inside the blob."""
    blob = sample(ggml_type=ggml_type)
    for at, value in changes:
        blob[at] = value
    blob = blob[: len(blob) - cut]
    try:
        layout, positions = read_layout(blob, "thing")
    except UnsupportedModel:
        return
    assert layout.size == len(blob)
    assert len(positions) == layout.n_cells
    assert layout.v_offset(layout.n_layer - 1) + layout.n_cells * layout.v_row_bytes == len(blob)
