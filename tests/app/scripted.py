"""A model whose every next token is known: tokens are bytes, what comes next is a plain function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]
NextToken = Callable[[tuple[int, ...]], int]
Scores = Mapping[str, Mapping[str, float]]
"""After a text that ends with the key, the logit of each ASCII character; every other token has 0."""

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
    """Stands in for `kvfiles.runtime.Context` with one sequence.

    Counts its batches; `most` is how many tokens it held at once.
    """

    def __init__(self, next_token: NextToken, scores: Scores | None = None) -> None:
        self.model = ScriptedModel()
        self.held: list[int] = []
        self.n_batches = 0
        self.most = 0
        self._next, self._scores = next_token, scores or {}

    @property
    def text(self) -> str:
        return bytes(token for token in self.held if token != END).decode()

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
            rows.append(self._row())
        self.most = max(self.most, len(self.held))
        return np.stack(rows[-1:] if logits == "last" else rows)

    def _row(self) -> NDArray[np.float32]:
        row = np.zeros(N_VOCAB, np.float32)
        known = bytes(token for token in self.held if token != END)
        for cue, scores in self._scores.items():
            if known.endswith(cue.encode()):
                for char, logit in scores.items():
                    row[ord(char)] = logit
                return row
        row[self._next(tuple(self.held))] = 9.0
        return row


def says(script: Mapping[str, str]) -> NextToken:
    """A model that goes on with `script[cue]` after the cue that was fed last, and then ends its turn."""

    def next_token(held: tuple[int, ...]) -> int:
        text = bytes(token for token in held if token != END)
        at, cue = max((text.rfind(cue.encode()), cue) for cue in script)
        said = text[at + len(cue.encode()) :]
        reply = script[cue].encode()
        return reply[len(said)] if reply.startswith(said) and len(said) < len(reply) else END

    return next_token
