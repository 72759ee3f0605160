"""A rig without a model: tokens are bytes, and the script of each kind of cache says the replies."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvfiles.runtime.model import ModelShape, Tokens

END = 256
N_VOCAB = 257
ASK, REPLY, DONE = "<ask>", "<reply>", "<done>"
TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}<done>"
    "{% elif m.role == 'user' %}<ask>{{ m.content }}<reply>{% else %}{{ m.content }}{% endif %}{% endfor %}"
)
Script = Callable[[str, str, int], str]
"""The reply to (kind of cache, last request, number of requests so far)."""


class ScriptedModel:
    """One token for each byte of UTF-8, and one that ends a turn."""

    path = Path("scripted.gguf")
    n_vocab, n_ctx_train = N_VOCAB, 1 << 16
    bos = None
    chat_template: str | None = TEMPLATE
    shape = ModelShape(2, 1, 64, 64)

    def tokenize(self, text: str, *, special: bool = False) -> Tokens:
        return np.frombuffer(text.encode(), np.uint8).astype(np.int32)

    def text(self, tokens: Tokens) -> str:
        return bytes(int(t) for t in tokens if t != END).decode("utf-8", "replace")

    def is_end(self, token: int) -> bool:
        return token == END


class ScriptedContext:
    """Sequence 0 of a context; `kind` is the cache that the document came from."""

    def __init__(self, kind: str, script: Script, log: list[str]) -> None:
        self.model = ScriptedModel()
        self.kind, self.held = kind, list[int]()
        self._script, self._log = script, log

    def end(self, seq: int = 0) -> int:
        return len(self.held)

    def clear(self) -> None:
        self.held.clear()

    def remove(self, seq: int, p0: int = -1, p1: int = -1) -> None:
        assert (seq, p1) == (0, -1)
        del self.held[max(p0, 0) :]

    def decode(
        self, tokens: Tokens, pos0: int, *, logits: str = "last", slice_tokens: int = 128, **_ignored: Any
    ) -> NDArray[np.float32]:
        assert pos0 == len(self.held), "a batch must continue its sequence"
        if pos0 == 0:
            self._log.append(f"read {self.kind} by {slice_tokens}")
        rows = []
        for token in tokens:
            self.held.append(int(token))
            row = np.zeros(N_VOCAB, np.float32)
            row[self._next()] = 9.0
            rows.append(row)
        wanted = {"none": [], "last": rows[-1:], "all": rows}[logits]
        return np.stack(wanted) if wanted else np.empty((0, N_VOCAB), np.float32)

    def _next(self) -> int:
        text = bytes(token for token in self.held if token != END).decode()
        before, found, said = text.rpartition(REPLY)
        if not found:
            return END
        request = before.rpartition(ASK)[2]
        reply = self._script(self.kind, request, before.count(ASK)).encode()
        done = said.encode()
        return reply[len(done)] if reply.startswith(done) and len(done) < len(reply) else END


class ScriptedRig:
    """Stands in for `eval.rig.Rig`; `log` tells what was read, saved and opened.

    `obeys` False is a llama.cpp that ignores LLAMA_ATTN_ROT_DISABLE.
    """

    def __init__(self, script: Script, *, obeys: bool = True) -> None:
        self.model = ScriptedModel()
        self.log: list[str] = []
        self.n_open = 0
        self._script, self._obeys = script, obeys

    @contextmanager
    def context(self, n_tokens: int, cache: str = "f16", v_cache: str | None = None) -> Iterator[Any]:
        disabled = self._obeys and os.environ.get("LLAMA_ATTN_ROT_DISABLE", "0") != "0"
        logger = logging.getLogger("beyondrag.llama")
        if disabled:
            logger.warning("llama_kv_cache: attention rotation force disabled (LLAMA_ATTN_ROT_DISABLE)")
        logger.info(
            "llama_kv_cache: attn_rot_k = %d, n_embd_head_k_all = 64", not disabled and cache != "f16"
        )
        kind = f"{cache} unrotated" if disabled else cache
        self.n_open += 1
        try:
            yield ScriptedContext(kind, self._script, self.log)
        finally:
            self.n_open -= 1

    def codec(self, name: str) -> str:
        return name

    def codec_identity(self, name: str) -> str:
        return name

    def state(self, context: ScriptedContext) -> list[int]:
        return list(context.held)

    def save(self, path: Path, state: list[int], tokens: Tokens, first: int, codec: str) -> int:
        assert state[first : first + len(tokens)] == tokens.tolist()
        np.save(path.with_suffix(".npy"), tokens)
        path.write_text(codec)
        self.log.append(f"save {path.stem} {codec}")
        return 4 * len(tokens)

    def attach(self, context: ScriptedContext, paths: list[Path]) -> None:
        assert context.held == []
        context.held += [int(t) for path in paths for t in np.load(path.with_suffix(".npy"))]
        context.kind = paths[-1].read_text()

    def bits_per_value(self, n_bytes: int, n_tokens: int) -> float:
        return n_bytes / n_tokens
