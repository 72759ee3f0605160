"""A llama.cpp context: decode in slices, read and write sequence state, read logits.

One context belongs to one thread.  All sequences share one set of cells (`kv_unified`), because
copying between sequences would otherwise replace the destination (llama.cpp src/llama-kv-cache.cpp).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kvfiles.errors import Cancelled, ContextOverflow, DecodeError, ModelError
from kvfiles.runtime.llama import api
from kvfiles.runtime.model import Model, Tokens
from kvfiles.state_blob import GGML_TYPE_F16, GGML_TYPE_Q8_0

CacheType = Literal["f16", "q8_0", "q5_0", "q4_0"]
Logits = Literal["none", "last", "all"]
U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

GGML_TYPES: dict[CacheType, int] = {"f16": GGML_TYPE_F16, "q8_0": GGML_TYPE_Q8_0, "q5_0": 6, "q4_0": 2}

SLICE_TOKENS = 128
"""Tokens decoded between two looks at progress and cancellation: about a second on two cores."""


class Context:
    """`n_ctx` cells shared by `n_seq` sequences; flash attention on, so that V is stored by rows.

    `cache_type` q5_0 and q4_0 exist to be measured; `beyondrag` itself runs on f16 or q8_0.
    Raises ModelError when llama.cpp cannot create the context (usually memory).
    """

    def __init__(
        self,
        model: Model,
        *,
        n_ctx: int,
        n_threads: int,
        cache_type: CacheType = "f16",
        v_cache_type: CacheType | None = None,
        n_seq: int = 4,
        n_batch: int = 512,
    ) -> None:
        c = api()
        self.model = model
        self.cache_type = cache_type
        self.n_batch = min(n_batch, n_ctx)
        params = c.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = (
            n_ctx,
            self.n_batch,
            self.n_batch,
            n_seq,
        )
        params.n_threads = params.n_threads_batch = n_threads
        params.flash_attn_type, params.kv_unified, params.offload_kqv = 1, True, model.gpu_layers > 0
        params.type_k, params.type_v = GGML_TYPES[cache_type], GGML_TYPES[v_cache_type or cache_type]
        params.no_perf = True
        self.handle = c.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise ModelError(
                f"no context of {n_ctx} tokens could be made",
                subject=str(model.path),
                remedy="use a smaller --context, or free memory",
            )
        self.n_ctx: int = c.llama_n_ctx(self.handle)
        self.memory = c.llama_get_memory(self.handle)
        self._batch = c.llama_batch_init(self.n_batch, 0, 1)

    def close(self) -> None:
        if self.handle:
            c = api()
            c.llama_batch_free(self._batch)
            c.llama_free(self.handle)
            self.handle = None

    # ------------------------------------------------------------------ decode

    def decode(
        self,
        tokens: Tokens,
        pos0: int,
        *,
        seq: int = 0,
        logits: Logits = "last",
        on_slice: Callable[[int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        slice_tokens: int = SLICE_TOKENS,
    ) -> F32:
        """Decode `tokens` (n,) at positions pos0.. of `seq`; they must continue what the sequence holds.

        Returns f32 logits: (n, n_vocab) for "all", (1, n_vocab) for "last", (0, n_vocab) for "none".
        `on_slice(done)` is called after every `slice_tokens` tokens.  Raises Cancelled (cells decoded
        so far stay: remove them), ContextOverflow, DecodeError.
        """
        step = min(slice_tokens, self.n_batch)
        rows: list[F32] = []
        for start in range(0, len(tokens), step):
            if cancelled is not None and cancelled():
                raise Cancelled("stopped")
            part = tokens[start : start + step]
            last = start + len(part) == len(tokens)
            wanted = np.full(len(part), logits == "all", np.int8)
            wanted[-1] |= logits == "last" and last
            self._decode_slice(part, pos0 + start, seq, wanted)
            rows += [self._logits(int(i)) for i in np.flatnonzero(wanted)]
            if on_slice is not None:
                on_slice(start + len(part))
        return np.stack(rows) if rows else np.empty((0, self.model.n_vocab), np.float32)

    def _decode_slice(self, tokens: Tokens, pos0: int, seq: int, wanted: NDArray[np.int8]) -> None:
        n, batch = len(tokens), self._batch
        batch.n_tokens = n
        for field, values in (
            (batch.token, tokens),
            (batch.pos, np.arange(pos0, pos0 + n, dtype=np.int32)),
            (batch.n_seq_id, np.ones(n, np.int32)),
            (batch.logits, wanted),
        ):
            np.ctypeslib.as_array(field, shape=(n,))[:] = values
        for i in range(n):
            batch.seq_id[i][0] = seq
        status = api().llama_decode(self.handle, batch)
        if status == 1:
            raise ContextOverflow(
                f"the context of {self.n_ctx} tokens is full",
                remedy="use fewer documents or a larger --context",
            )
        if status != 0:
            raise DecodeError(f"llama.cpp refused to decode (status {status})", subject=str(self.model.path))

    def _logits(self, index: int) -> F32:
        pointer = api().llama_get_logits_ith(self.handle, index)
        return np.ctypeslib.as_array(pointer, shape=(self.model.n_vocab,)).copy()

    # ---------------------------------------------------------------- sequences

    def clear(self) -> None:
        """Empty every sequence (the cells are reused, not zeroed)."""
        api().llama_memory_clear(self.memory, False)

    def remove(self, seq: int, p0: int = -1, p1: int = -1) -> None:
        """Drop positions p0 <= p < p1 of `seq`; -1 means open."""
        api().llama_memory_seq_rm(self.memory, seq, p0, p1)

    def copy(self, src: int, dst: int, p0: int = -1, p1: int = -1) -> None:
        """Let `dst` share the cells of `src` at positions p0 <= p < p1."""
        api().llama_memory_seq_cp(self.memory, src, dst, p0, p1)

    def shift(self, seq: int, p0: int, p1: int, delta: int) -> None:
        """llama.cpp's own relocation (`seq_add`); only used to check ours against it."""
        api().llama_memory_seq_add(self.memory, seq, p0, p1, delta)

    def end(self, seq: int = 0) -> int:
        """One past the last position of `seq`; 0 when it is empty."""
        return int(api().llama_memory_seq_pos_max(self.memory, seq)) + 1

    # -------------------------------------------------------------------- state

    def state(self, seq: int = 0) -> U8:
        """The sequence's state blob, (n_bytes,) u8, a copy."""
        c = api()
        size = int(c.llama_state_seq_get_size(self.handle, seq))
        blob = np.empty(size, np.uint8)
        written = c.llama_state_seq_get_data(self.handle, _u8_pointer(blob), size, seq)
        if written != size:
            raise DecodeError("llama.cpp did not hand out its state", subject=str(self.model.path))
        return blob

    def set_state(self, blob: U8, seq: int = 0) -> None:
        """Replace `seq` by a blob laid out by `state_blob`; raises DecodeError when llama.cpp refuses it."""
        if api().llama_state_seq_set_data(self.handle, _u8_pointer(blob), blob.nbytes, seq) != blob.nbytes:
            self.remove(seq)
            raise DecodeError(
                "llama.cpp refused the composed state",
                subject=str(self.model.path),
                remedy="use fewer documents or a larger --context",
            )


@dataclass(frozen=True, slots=True)
class StateReceiver:
    """Addresses of llama.cpp's functions and objects, for compiled code that hands states over itself."""

    set_data: int
    seq_cp: int
    context: int
    memory: int


def state_receiver(context: Context) -> StateReceiver:
    """`llama_state_seq_set_data` and `llama_memory_seq_cp` with what they take of `context`."""
    c = api()

    def address(of: object) -> int:
        return ctypes.cast(of, ctypes.c_void_p).value or 0  # type: ignore[arg-type]  # ctypes knows no Protocol

    return StateReceiver(
        address(c.llama_state_seq_set_data),
        address(c.llama_memory_seq_cp),
        address(context.handle),
        address(context.memory),
    )


def _u8_pointer(array: U8) -> ctypes.Array[ctypes.c_uint8]:
    return (ctypes.c_uint8 * array.nbytes).from_buffer(array.data)


def log_softmax(logits: F32) -> F32:
    """(n, n_vocab) logits -> log-probabilities."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))  # type: ignore[no-any-return]
