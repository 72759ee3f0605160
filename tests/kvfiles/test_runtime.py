"""The runtime: tokens, decoding in slices, sequences, and where llama.cpp's log goes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_gguf import CONTROL_TEXTS, LONG_PIECE, TinySpec, vocabulary, write_model

from kvfiles.errors import Cancelled, ContextOverflow, DecodeError, ModelError, ModelFileError
from kvfiles.runtime import Context, Model
from kvfiles.runtime.context import log_softmax

N_CTX = 256
TOKENS = np.arange(3, 103, dtype=np.int32)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    path = tmp_path_factory.mktemp("modèle avec espaces") / "tiny ü.gguf"
    model = Model(write_model(path, TinySpec("llama", 32, add_bos=True)))
    yield model
    model.close()


@pytest.fixture
def context(tiny: Model) -> Iterator[Context]:
    context = Context(tiny, n_ctx=N_CTX, n_threads=1, n_batch=64)
    yield context
    context.close()


# -------------------------------------------------------------------------- tokens


def check_no_control(model: Model, text: str) -> None:
    tokens = model.tokenize(text)
    assert tokens.dtype == np.int32
    assert not any(model.is_control(int(token)) or model.is_end(int(token)) for token in tokens)


marked_text = st.lists(
    st.sampled_from(CONTROL_TEXTS) | st.sampled_from(["</s>", "<s>"]) | st.text(max_size=8)
).map("".join)


@given(marked_text)
def test_a_document_cannot_write_control_tokens(tiny: Model, text: str) -> None:
    check_no_control(tiny, text)


@pytest.mark.model
@given(marked_text)
@settings(deadline=None)
def test_a_document_cannot_write_control_tokens_real_vocabulary(small_model: Model, text: str) -> None:
    check_no_control(small_model, text)


@pytest.mark.model
@pytest.mark.parametrize(
    "text", ["<|im_end|> is text here", "naïve café 日本語 🙂", " leading\n\n\ttabs  ", "x" * 500]
)
def test_text_survives_the_tokenizer(small_model: Model, text: str) -> None:
    assert small_model.text(small_model.tokenize(text)) == text


@pytest.mark.model
def test_the_frame_can_write_control_tokens(small_model: Model) -> None:
    tokens = small_model.tokenize("<|im_end|>", special=True)
    assert len(tokens) == 1
    assert small_model.is_control(int(tokens[0]))
    assert small_model.is_end(int(tokens[0]))
    assert len(small_model.tokenize("<|im_end|>")) > 1


def test_bos_is_never_added_but_known(tiny: Model) -> None:
    assert tiny.bos == 1
    assert 1 not in tiny.tokenize("the the", special=True)
    assert len(tiny.tokenize("")) == 0


def test_concatenated_tokens_are_the_concatenated_text(tiny: Model) -> None:
    parts = ["the", " the", "abc", "é日"]
    tokens = np.concatenate([tiny.tokenize(part) for part in parts])
    assert tiny.text(tokens) == "".join(parts)


def test_pieces(tiny: Model) -> None:
    texts, _, _ = vocabulary()
    assert tiny.n_vocab == len(texts)
    assert tiny.piece(texts.index("ab")) == b"ab"
    assert tiny.piece(texts.index("<0xE6>")) == b"\xe6"
    assert tiny.piece(texts.index("<|im_end|>")) == b""
    assert tiny.piece(texts.index(LONG_PIECE)) == LONG_PIECE.encode()  # longer than the first buffer
    assert tiny.text(np.array([texts.index("<0xE6>")], np.int32)) == "�"


@pytest.mark.parametrize("token", [-1, 10**6])
def test_a_token_outside_the_vocabulary_is_typed(tiny: Model, token: int) -> None:
    """llama.cpp would end the process; a forged file may hold any number."""
    with pytest.raises(ModelError, match="no text for token"):
        tiny.piece(token)


def test_text_that_is_not_unicode(tiny: Model) -> None:
    assert tiny.text(tiny.tokenize("a\ud800b\x00c")) == "a?b\x00c"


def test_a_long_text(tiny: Model) -> None:
    assert len(tiny.tokenize("ab" * 50_000)) == 50_000


def test_facts_about_the_model(tiny: Model) -> None:
    assert tiny.architecture == "llama"
    assert tiny.n_ctx_train == 32768
    assert (tiny.shape.n_layer, tiny.shape.k_width, tiny.shape.v_width) == (2, 64, 64)
    assert tiny.shape.values_per_token == 2 * 128
    assert tiny.is_end(2)
    assert "im_start" in (tiny.chat_template or "")


# -------------------------------------------------------------------------- decode


def test_logits_by_kind(tiny: Model, context: Context) -> None:
    every = context.decode(TOKENS, 0, logits="all")
    assert every.shape == (len(TOKENS), tiny.n_vocab)
    assert every.dtype == np.float32
    context.clear()
    np.testing.assert_allclose(context.decode(TOKENS, 0, logits="last"), every[-1:], atol=1e-3)
    context.clear()
    assert context.decode(TOKENS, 0, logits="none").shape == (0, tiny.n_vocab)
    assert context.decode(TOKENS[:0], 100).shape == (0, tiny.n_vocab)


def test_slices_report_progress_and_do_not_change_the_result(context: Context) -> None:
    whole = context.decode(TOKENS[:60], 0, logits="all", slice_tokens=64)
    for step in (1, 7, 60):
        done: list[int] = []
        context.clear()
        sliced = context.decode(TOKENS[:60], 0, logits="all", slice_tokens=step, on_slice=done.append)
        assert done == [*range(step, 60, step), 60]
        np.testing.assert_allclose(sliced, whole, atol=2e-2)
        assert (sliced.argmax(-1) == whole.argmax(-1)).mean() > 0.95


def test_a_slice_is_never_larger_than_the_batch(context: Context) -> None:
    done: list[int] = []
    context.decode(TOKENS, 0, slice_tokens=10_000, on_slice=done.append)
    assert done == [64, 100]


def cancel_after(calls: int) -> Callable[[], bool]:
    seen = iter(range(10**6))
    return lambda: next(seen) >= calls


def test_cancelled_midway_the_sequence_can_be_cleaned_and_reused(context: Context) -> None:
    want = context.decode(TOKENS, 0, slice_tokens=10)
    context.clear()
    with pytest.raises(Cancelled):
        context.decode(TOKENS, 0, slice_tokens=10, cancelled=cancel_after(4))
    assert context.end() == 40  # what was decoded stays until it is removed
    rest = context.decode(TOKENS[40:], 40, slice_tokens=10)  # and can be continued
    np.testing.assert_array_equal(rest, want)
    context.remove(0)
    assert context.end() == 0
    np.testing.assert_array_equal(context.decode(TOKENS, 0, slice_tokens=10), want)


def test_overflow_is_typed_and_the_context_lives_on(context: Context) -> None:
    want = context.decode(TOKENS, 0)
    context.decode(TOKENS, 100, logits="none")
    with pytest.raises(ContextOverflow, match=str(N_CTX)) as caught:
        context.decode(TOKENS, 200, logits="none")
    assert caught.value.remedy
    context.remove(0)
    np.testing.assert_array_equal(context.decode(TOKENS, 0), want)


@pytest.mark.parametrize(
    ("tokens", "pos0", "seq"),
    [
        (np.array([10**6], np.int32), 0, 0),
        (np.array([-5], np.int32), 0, 0),
        (TOKENS[:4], 5, 0),  # a gap after position 2
        (TOKENS[:4], 1, 0),  # already taken
        (TOKENS[:4], 0, 99),
    ],
)
def test_refused_batches_are_typed_and_harmless(
    context: Context, tokens: np.ndarray, pos0: int, seq: int
) -> None:
    want = context.decode(TOKENS[:10], 0)
    context.clear()
    context.decode(TOKENS[:3], 0)
    with pytest.raises(DecodeError, match="refused"):
        context.decode(tokens, pos0, seq=seq)
    context.clear()
    np.testing.assert_array_equal(context.decode(TOKENS[:10], 0), want)


def test_log_softmax() -> None:
    logits = np.array([[0.0, 1.0, 2.0], [1000.0, 0.0, -1000.0]], np.float32)
    got = log_softmax(logits)
    np.testing.assert_allclose(np.exp(got).sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(got[0], [-2.4076059, -1.4076059, -0.4076059], rtol=1e-6)
    assert np.isfinite(got).all()


# ----------------------------------------------------------------------- sequences


def test_sequences_are_copied_and_cut(context: Context) -> None:
    context.decode(TOKENS[:20], 0, logits="none")
    want = context.decode(TOKENS[20:24], 20, logits="all")
    context.remove(0, 20)
    assert context.end() == 20
    context.copy(0, 1)
    context.copy(0, 2, 0, 10)
    assert [context.end(seq) for seq in range(4)] == [20, 20, 10, 0]
    np.testing.assert_allclose(context.decode(TOKENS[20:24], 20, seq=1, logits="all"), want, atol=1e-4)
    context.remove(0)
    assert (context.end(0), context.end(1)) == (0, 24)


def test_sequences_share_the_cells(context: Context) -> None:
    """240 cells shared by two sequences fit into 256, twice 240 would not."""
    many = np.resize(TOKENS, 240)
    context.decode(many, 0, logits="none")
    context.copy(0, 1)
    context.decode(TOKENS[:5], 240, seq=1, logits="none")
    assert context.end(1) == 245


@pytest.mark.parametrize("n_seq", [1000])
def test_a_context_that_cannot_be_made(tiny: Model, n_seq: int) -> None:
    with pytest.raises(ModelError, match="context") as caught:
        Context(tiny, n_ctx=64, n_threads=1, n_seq=n_seq)
    assert caught.value.remedy


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    model = Model(write_model(tmp_path / "m.gguf", TinySpec()))
    context = Context(model, n_ctx=64, n_threads=1)
    context.close()
    context.close()
    model.close()
    model.close()


# ----------------------------------------------------------------------------- log


def test_llama_cpp_is_silent_on_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Loading, decoding, a refused batch and a broken model: all of it goes to the logger."""
    path = write_model(tmp_path / "m.gguf", TinySpec())
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(path.read_bytes()[:-100_000])
    with caplog.at_level(logging.DEBUG, logger="beyondrag.llama"):
        model = Model(path)
        context = Context(model, n_ctx=64, n_threads=1)
        context.decode(TOKENS[:5], 0)
        with pytest.raises(DecodeError):
            context.decode(TOKENS[:5], 50)
        context.close()
        model.close()
        with pytest.raises(ModelFileError):
            Model(broken)
    assert capfd.readouterr() == ("", "")
    levels = {record.levelno for record in caplog.records if record.name == "beyondrag.llama"}
    assert logging.ERROR in levels
    assert min(levels) < logging.WARNING
    assert any("corrupted" in r.getMessage() or "not within" in r.getMessage() for r in caplog.records)
