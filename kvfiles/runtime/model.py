"""An opened GGUF model: its shape, its tokenizer and its rotary specification."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kvfiles.errors import ModelError, ModelFileError, UnsupportedModel
from kvfiles.gguf_file import GgufHeader, read_gguf
from kvfiles.rope import RopeSpec, rope_from_gguf
from kvfiles.runtime.llama import api

Tokens = NDArray[np.int32]

_PIECE_BYTES = 256
"""Room for nearly every token's text; longer ones (runs of spaces or dashes) are asked for again."""

_OTHER_MODEL = "use a model with a plain attention cache such as Qwen2.5 or Llama"


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes that fix a cache: K rows are n_kv_head*k_head_dim values, V rows n_kv_head*v_head_dim."""

    n_layer: int
    n_kv_head: int
    k_head_dim: int
    v_head_dim: int

    @property
    def k_width(self) -> int:
        return self.n_kv_head * self.k_head_dim

    @property
    def v_width(self) -> int:
        return self.n_kv_head * self.v_head_dim

    @property
    def values_per_token(self) -> int:
        """K and V elements of one token over all layers."""
        return self.n_layer * (self.k_width + self.v_width)


class Model:
    """A loaded model.  Raises ModelFileError or UnsupportedModel when it cannot be used.

    Owns a llama.cpp model until `close`; contexts made from it must be closed first.  `gpu_layers` go
    to a GPU, if llama-cpp-python was built for one.
    """

    def __init__(self, path: Path, *, gpu_layers: int = 0) -> None:
        self.path = path
        self.gpu_layers = gpu_layers
        self.header: GgufHeader = read_gguf(path)
        refuse_by_header(self.header)
        c = api()
        params = c.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        self.handle = c.llama_model_load_from_file(os.fsencode(path), params)
        if not self.handle:
            raise ModelFileError(
                "llama.cpp cannot load this model",
                subject=str(path),
                remedy="pull it again, or run with --verbose to see llama.cpp's own messages",
            )
        try:
            self.vocab = c.llama_model_get_vocab(self.handle)
            self.n_vocab: int = c.llama_vocab_n_tokens(self.vocab)
            self._refuse_by_model()
            self.shape = self._shape()
            self.rope: RopeSpec = rope_from_gguf(
                self.header, c.llama_model_rope_type(self.handle), self.shape.k_head_dim
            )
        except BaseException:
            self.close()
            raise

    @property
    def architecture(self) -> str:
        return self.header.architecture

    @property
    def n_ctx_train(self) -> int:
        """Tokens of context the model was trained for."""
        return int(api().llama_model_n_ctx_train(self.handle))

    @property
    def chat_template(self) -> str | None:
        """The Jinja chat template stored in the GGUF, or None."""
        raw = api().llama_model_chat_template(self.handle, None)
        return None if raw is None else raw.decode("utf-8", "replace")

    @property
    def bos(self) -> int | None:
        """The token that every prompt begins with, or None when the model wants none."""
        c = api()
        return int(c.llama_vocab_bos(self.vocab)) if c.llama_vocab_get_add_bos(self.vocab) else None

    def close(self) -> None:
        if self.handle:
            api().llama_model_free(self.handle)
            self.handle = None

    def tokenize(self, text: str, *, special: bool = False) -> Tokens:
        """(n,) i32 token ids, never with BOS.

        With `special` False (documents, questions) text such as `<|im_end|>` is ordinary text and
        can never become a control token; only the prompt's own frame is read with `special` True.
        """
        raw = text.encode("utf-8", "replace")
        capacity = len(raw) + 8
        tokens = np.empty(capacity, np.int32)
        buffer = (ctypes.c_int32 * capacity).from_buffer(tokens.data)
        n = api().llama_tokenize(self.vocab, raw, len(raw), buffer, capacity, False, special)
        if n < 0:
            raise ModelError("the tokenizer failed", subject=str(self.path))
        return tokens[:n].copy()

    def piece(self, token: int) -> bytes:
        """The bytes of one token; a character may be spread over several.  Control tokens give b""."""
        size = _PIECE_BYTES
        while 0 <= token < self.n_vocab:  # llama.cpp ends the process for any other
            buffer = ctypes.create_string_buffer(size)
            n = int(api().llama_token_to_piece(self.vocab, token, buffer, size, 0, False))
            if n >= 0:
                return buffer.raw[:n]
            if -n <= size:
                break
            size = -n
        raise ModelError(f"the vocabulary has no text for token {token}", subject=str(self.path))

    def text(self, tokens: Tokens) -> str:
        """The text of `tokens`, invalid UTF-8 replaced."""
        return b"".join(self.piece(int(t)) for t in tokens).decode("utf-8", "replace")

    def is_end(self, token: int) -> bool:
        """Whether the token ends a turn."""
        return bool(api().llama_vocab_is_eog(self.vocab, token))

    def is_control(self, token: int) -> bool:
        return bool(api().llama_vocab_is_control(self.vocab, token))

    def _refuse_by_model(self) -> None:
        c = api()
        name, why = self.architecture, ""
        if c.llama_model_is_recurrent(self.handle) or c.llama_model_is_hybrid(self.handle):
            why = "keeps a recurrent state, which cannot be moved to another position"
        elif c.llama_model_has_encoder(self.handle):
            why = "has an encoder; only decoder models are supported"
        elif c.llama_model_n_swa(self.handle) > 0:
            why = "uses sliding-window attention, whose cache drops tokens"
        if why:
            raise UnsupportedModel(f"architecture {name} {why}", subject=str(self.path), remedy=_OTHER_MODEL)

    def _shape(self) -> ModelShape:
        c = api()
        n_head, n_kv_head = c.llama_model_n_head(self.handle), c.llama_model_n_head_kv(self.handle)
        default_dim = c.llama_model_n_embd(self.handle) // max(n_head, 1)
        key_length, value_length = (
            self.header.arch("attention.key_length"),
            self.header.arch("attention.value_length"),
        )
        return ModelShape(
            n_layer=c.llama_model_n_layer(self.handle),
            n_kv_head=n_kv_head,
            k_head_dim=int(key_length) if isinstance(key_length, int) else default_dim,
            v_head_dim=int(value_length) if isinstance(value_length, int) else default_dim,
        )


def refuse_by_header(header: GgufHeader) -> None:
    """Refuse what the metadata already tells, before gigabytes are loaded."""
    name, why = header.architecture, ""
    if header.arch("attention.kv_lora_rank") is not None:
        why = "uses multi-head latent attention (MLA), whose cache holds latent vectors"
    elif header.arch("attention.sliding_window"):
        why = "uses sliding-window attention, whose cache drops tokens"
    elif (
        header.arch("attention.causal") is False
        or header.arch("attention.relative_buckets_count") is not None
    ):
        why = "is or has an encoder; only decoder models are supported"
    elif header.arch("ssm.state_size") is not None or header.arch("wkv.head_size") is not None:
        why = "keeps a recurrent state, which cannot be moved to another position"
    elif f"{name}.rope.dimension_sections" in header.array_lengths:
        why = "uses M-RoPE, whose positions have several components"
    elif f"{name}.attention.head_count_kv" in header.array_lengths:
        why = "has a different number of KV heads in every layer"
    elif "tokenizer.ggml.tokens" not in header.array_lengths:
        why = "has no tokenizer; it is not a language model"
    if why:
        raise UnsupportedModel(f"architecture {name} {why}", subject=str(header.path), remedy=_OTHER_MODEL)
