"""A model whose every next token is known: tokens are bytes, what comes next is a plain function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]
NextToken = Callable[[tuple[int, ...]], int]

END = 256
N_VOCAB = 257


class ScriptedModel:
    """Stands in for `kvfiles.runtime.Model`: one token for each byte of UTF-8, and one that ends a turn."""

    path = Path("scripted.gguf")
    n_vocab = N_VOCAB

    def tokenize(self, text: str, *, special: bool = False) -> Tokens:
        return np.frombuffer(text.encode(), np.uint8).astype(np.int32)

    def piece(self, token: int) -> bytes:
        return b"" if token == END else bytes([token])

    def is_end(self, token: int) -> bool:
        return token == END


class ScriptedContext:
    """Stands in for `kvfiles.runtime.Context` with one sequence; counts its batches."""

    def __init__(self, next_token: NextToken) -> None:
        self.model = ScriptedModel()
        self.held: list[int] = []
        self.n_batches = 0
        self._next = next_token

    def end(self, seq: int = 0) -> int:
        return len(self.held)

    def remove(self, seq: int, p0: int = -1, p1: int = -1) -> None:
        assert p1 == -1
        del self.held[max(p0, 0) :]

    def decode(
        self, tokens: Tokens, pos0: int, *, logits: str = "last", **_ignored: Any
    ) -> NDArray[np.float32]:
        assert pos0 == len(self.held), "a batch must continue its sequence"
        self.n_batches += 1
        rows = []
        for token in tokens:
            self.held.append(int(token))
            row = np.zeros(N_VOCAB, np.float32)
            row[self._next(tuple(self.held))] = 9.0
            rows.append(row)
        return np.stack(rows[-1:] if logits == "last" else rows)


def says(script: Mapping[str, str]) -> NextToken:
    """A model that goes on with `script[cue]` after the cue that was fed last, and then ends its turn."""

    def next_token(held: tuple[int, ...]) -> int:
        text = bytes(token for token in held if token != END)
        at, cue = max((text.rfind(cue.encode()), cue) for cue in script)
        said = text[at + len(cue.encode()) :]
        reply = script[cue].encode()
        return reply[len(said)] if reply.startswith(said) and len(said) < len(reply) else END

    return next_token
