"""Read what a model asks of its cache: K, V and the second moments of the queries, for calibration.

llama.cpp shows every tensor of the graph to an evaluation callback; the rotated queries are the ones
named `Qcur-<layer>` that a ROPE operation made.  A query at position n meets a key of position p <= n as
q'R(n)'R(p)k: rotated back by a random earlier position it becomes a vector u with logit = u.k for the key
*without* rotation, and the mean of u u' says what an error of K costs in squared attention logits (times
head_dim, the 1/sqrt(head_dim) of attention left out).

Covered: what `Model` opens, on the CPU or a GPU.  One reader belongs to one thread.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.reference import rotate_rows
from kvfiles.errors import DecodeError, ModelError, UnsupportedModel
from kvfiles.positions import RopeTables, RowRope
from kvfiles.runtime.llama import api
from kvfiles.runtime.model import Model, Tokens
from kvfiles.state_blob import read_state

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

OUTPUT_EVERY = 8
"""The last layer computes queries only where logits are wanted: at every eighth token."""

_NAME = b"Qcur-"
_F32_BYTES = 4


@dataclass(frozen=True, slots=True)
class LayerQueries:
    """The rotated queries of one layer: `rows` (n, n_head, k_head_dim) f32 at `positions` (n,) i32."""

    rows: F32
    positions: I32


@dataclass(frozen=True, slots=True)
class TextReading:
    """One text from position 0 on, by layer: K before RoPE (n, k_width) f16, V (n, v_width) f16, queries."""

    k: tuple[F16, ...]
    v: tuple[F16, ...]
    queries: tuple[LayerQueries, ...]


class QueryReader:
    """A context of its own that decodes a text at once and keeps the queries.  A context manager.

    `n_tokens` is the longest text.  Raises ModelError when llama.cpp cannot create the context.
    """

    def __init__(self, model: Model, *, n_tokens: int, n_threads: int) -> None:
        c = api()
        self.model = model
        self.n_head = int(c.llama_model_n_head(model.handle))
        self._n_tokens = n_tokens
        self._tables = RopeTables(model.rope, model.shape.n_kv_head)
        self._tap = _Tap(self.n_head * model.shape.k_head_dim)
        params = c.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = n_tokens
        params.n_threads = params.n_threads_batch = n_threads
        params.flash_attn_type, params.kv_unified, params.offload_kqv = 1, True, model.gpu_layers > 0
        params.no_perf = True
        params.cb_eval = self._tap.callback
        self.handle = c.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise ModelError(
                f"no context of {n_tokens} tokens could be made",
                subject=str(model.path),
                remedy="free memory and run the same command again",
            )
        self._batch = c.llama_batch_init(n_tokens, 0, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self.handle:
            c = api()
            c.llama_batch_free(self._batch)
            c.llama_free(self.handle)
            self.handle = None

    def read(self, tokens: Tokens) -> TextReading:
        """Decode `tokens` (n,) from an empty cache.

        Raises DecodeError, and UnsupportedModel when the queries or the state cannot be found.
        """
        n = len(tokens)
        if not 0 < n <= self._n_tokens:
            raise ValueError(f"{n} tokens in a context of {self._n_tokens}")
        c = api()
        c.llama_memory_clear(c.llama_get_memory(self.handle), True)
        wanted = np.arange(OUTPUT_EVERY - 1, n, OUTPUT_EVERY, dtype=np.int32)
        self._tap.clear()
        self._decode(tokens, wanted)
        k, v = self._state(n)
        shape = self.model.shape
        queries = []
        for layer in range(shape.n_layer):
            rows = self._tap.rows(layer)
            at = np.arange(n, dtype=np.int32) if rows is not None and len(rows) == n else wanted
            if rows is None or len(rows) != len(at):
                raise UnsupportedModel(
                    f"architecture {self.model.architecture}: its queries cannot be read",
                    subject=str(self.model.path),
                    remedy="use a codec that needs no calibration, such as k4v4",
                )
            queries.append(LayerQueries(rows.reshape(len(at), self.n_head, shape.k_head_dim), at))
        return TextReading(k, v, tuple(queries))

    def _decode(self, tokens: Tokens, wanted: I32) -> None:
        c, n, batch = api(), len(tokens), self._batch
        batch.n_tokens = n
        logits = np.zeros(n, np.int8)
        logits[wanted] = 1
        logits[-1:] |= np.int8(len(wanted) == 0)  # llama.cpp wants at least one
        for field, values in (
            (batch.token, tokens),
            (batch.pos, np.arange(n, dtype=np.int32)),
            (batch.n_seq_id, np.ones(n, np.int32)),
            (batch.logits, logits),
        ):
            np.ctypeslib.as_array(field, shape=(n,))[:] = values
        for i in range(n):
            batch.seq_id[i][0] = 0
        status = c.llama_decode(self.handle, batch)
        if status != 0:
            raise DecodeError(f"llama.cpp refused to decode (status {status})", subject=str(self.model.path))
        self._tap.check()

    def _state(self, n: int) -> tuple[tuple[F16, ...], tuple[F16, ...]]:
        c = api()
        blob = np.empty(int(c.llama_state_seq_get_size(self.handle, 0)), np.uint8)
        pointer = blob.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        if c.llama_state_seq_get_data(self.handle, pointer, blob.nbytes, 0) != blob.nbytes:
            raise DecodeError("llama.cpp did not hand out its state", subject=str(self.model.path))
        state = read_state(blob, self.model.architecture)
        back = self._tables.at(0, n).inverse()
        k = tuple(rotate_rows(rows.astype(np.float32), back).astype(np.float16) for rows in state.k)
        return k, state.v

    def unrotated(self, queries: LayerQueries, key_positions: I32) -> F32:
        """The `rows` of `queries` as keys without rotation at `key_positions` (n,) meet them; same shape."""
        n, n_head, head_dim = queries.rows.shape
        if n == 0:
            return queries.rows
        known = self._tables.at(0, int(key_positions.max()) + 1)
        back = RowRope(known.cos[key_positions], -known.sin[key_positions], n_head, head_dim, known.neox)
        return rotate_rows(queries.rows.reshape(n, -1), back).reshape(queries.rows.shape)


class QueryMoments:
    """Sums up u u' for every layer and KV head; deterministic for a seed.

    `mean()` is (n_layer, n_kv_head, k_head_dim, k_head_dim) f64.
    """

    def __init__(self, reader: QueryReader, seed: int = 0) -> None:
        shape = reader.model.shape
        self._reader = reader
        self._rng = np.random.default_rng(seed)
        self._n_kv_head = shape.n_kv_head
        self._sum: F64 = np.zeros((shape.n_layer, shape.n_kv_head, shape.k_head_dim, shape.k_head_dim))
        self._n = np.zeros(shape.n_layer)

    def add(self, queries: Sequence[LayerQueries]) -> None:
        """The queries of one text, each against one random key position at or before its own."""
        for layer, found in enumerate(queries):
            n, n_head, _ = found.rows.shape
            keys = (self._rng.random(n) * (found.positions + 1)).astype(np.int32)
            u = self._reader.unrotated(found, keys)
            heads = u.reshape(n, self._n_kv_head, n_head // self._n_kv_head, -1).transpose(1, 0, 2, 3)
            flat = heads.reshape(self._n_kv_head, -1, u.shape[-1])
            self._sum[layer] += np.matmul(flat.transpose(0, 2, 1), flat)
            self._n[layer] += n * n_head // self._n_kv_head

    def mean(self) -> F64:
        """The second moments; zeros where nothing was added."""
        return self._sum / np.maximum(self._n, 1)[:, None, None, None]


class _Tap:
    """The evaluation callback, which copies the queries out."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._ggml = _ggml()
        self._rows: dict[int, F32] = {}
        self._rotated: set[int] = set()
        self._failure: Exception | None = None
        self.callback = api().ggml_backend_sched_eval_callback(self._on_tensor)

    def clear(self) -> None:
        self._rows, self._rotated, self._failure = {}, set(), None

    def rows(self, layer: int) -> F32 | None:
        """(n, n_head * k_head_dim) of `layer`, None when it was not seen."""
        return self._rows.get(layer)

    def check(self) -> None:
        """Raise what went wrong in the callback, where nothing can be raised."""
        if self._failure is not None:
            raise DecodeError(f"the queries could not be read ({self._failure})") from self._failure

    def _on_tensor(self, tensor: int, ask: bool, _user: object) -> bool:
        """Asked first whether a tensor is wanted, then told that it is there; False then ends the decode."""
        try:
            name: bytes = self._ggml.ggml_get_name(tensor) or b""
            if not name.startswith(_NAME) or not name[len(_NAME) :].isdigit():
                return not ask
            if not ask:
                self._keep(int(name[len(_NAME) :]), tensor)
        except Exception as error:  # ctypes would print it and go on
            self._failure = error
        return True

    def _keep(self, layer: int, tensor: int) -> None:
        """Queries stand in the graph several times: a rotated tensor is final, else the last one counts."""
        ggml = self._ggml
        is_rotated = ggml.ggml_op_desc(tensor) == b"ROPE"
        size = int(ggml.ggml_nelements(tensor))
        fits = size % self._width == 0 and ggml.ggml_is_contiguous(tensor)
        if not fits or int(ggml.ggml_nbytes(tensor)) != size * _F32_BYTES:
            return
        if is_rotated or layer not in self._rotated:
            rows = np.empty((size // self._width, self._width), np.float32)
            ggml.ggml_backend_tensor_get(tensor, rows.ctypes.data, 0, rows.nbytes)
            self._rows[layer] = rows
        if is_rotated:
            self._rotated.add(layer)


def _ggml() -> Any:
    """The functions of ggml that look at a tensor by its address, whatever its layout in this version."""
    api()
    from llama_cpp._ggml import libggml  # noqa: PLC0415  # deferred like llama.cpp itself

    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    for name, result, arguments in (
        ("ggml_get_name", ctypes.c_char_p, [pointer]),
        ("ggml_op_desc", ctypes.c_char_p, [pointer]),
        ("ggml_nelements", ctypes.c_int64, [pointer]),
        ("ggml_nbytes", size, [pointer]),
        ("ggml_is_contiguous", ctypes.c_bool, [pointer]),
        ("ggml_backend_tensor_get", None, [pointer, pointer, size, size]),
    ):
        function = getattr(libggml, name)
        function.restype, function.argtypes = result, arguments
    return libggml
