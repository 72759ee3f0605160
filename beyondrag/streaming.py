"""Token pieces to text: a character that is spread over tokens is held back until it is complete."""

from __future__ import annotations

import codecs

from kvfiles.runtime.model import Model


class TextStream:
    """Feed tokens, get printable text."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The text that is complete after `token`; may be empty.  Control tokens give nothing."""
        return self._decoder.decode(self._model.piece(token))
