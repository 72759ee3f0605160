"""From names on the command line to systems: `doc`, `doc@k8v8`, `chunk-bm25`, ..."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beyondrag.chunk_rag.chunks import CHUNK_TOKENS, OVERLAP_TOKENS, Chunk, library_chunks
from beyondrag.chunk_rag.placing import TOP_CHUNKS
from beyondrag.chunk_rag.search import Bm25Search, ChunkSearch
from beyondrag.engine import Engine
from beyondrag.errors import UsageError
from beyondrag.turn import ANSWER_TOKENS
from eval.qa.chunk_rag import ChunkSystem
from eval.qa.chunk_search import DenseSearch, FusedSearch, question_vector
from eval.qa.closed_book import ClosedBook
from eval.qa.embedder import F32, MODEL_NAME, NETWORK_SHA256, WINDOW_PIECES, Embedder
from eval.qa.product import DocumentSystem, GoldFiles, Variant
from eval.qa.shelf import Shelf
from eval.qa.systems import System
from kvfiles.codecs import is_codec_name
from library.files import storage_errors

DOC, DOC_EXACT, ORACLE, CLOSED_BOOK = "doc", "doc-exact", "oracle", "closed-book"
BM25, DENSE, HYBRID = "chunk-bm25", "chunk-dense", "chunk-hybrid"
CHUNK_ARMS = (BM25, DENSE, HYBRID)
ARMS = (DOC, DOC_EXACT, ORACLE, *CHUNK_ARMS, CLOSED_BOOK)
SEARCHES = {BM25: (BM25,), DENSE: (DENSE,), HYBRID: (BM25, DENSE)}
"""What each chunk system searches with."""

WITH_CODEC = (DOC, ORACLE)
DEFAULT_ARMS = (DOC, ORACLE, BM25, CLOSED_BOOK)

_PIPELINE = "bm25plus stems without stop words, titles; minilm windows; rrf 60; 1"
"""Raised when the searches below or what they call change what they find."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One system by name; `codec` is None for the configured one."""

    name: str
    base: str
    codec: str | None

    @property
    def needs_snapshots(self) -> bool:
        return self.base in WITH_CODEC


@dataclass(frozen=True, slots=True)
class Budget:
    """How much each kind of system may use."""

    max_tokens: int = ANSWER_TOKENS
    top_k: int = 3
    repair_tokens: int = 0
    top_chunks: int = TOP_CHUNKS
    chunk_tokens: int = CHUNK_TOKENS
    overlap_tokens: int = OVERLAP_TOKENS


def parse_arms(names: Sequence[str]) -> list[Arm]:
    """The systems of these names, each once.  Raises UsageError."""
    arms = []
    for name in dict.fromkeys(names):
        base, _, codec = name.partition("@")
        if base not in ARMS:
            raise UsageError(
                f"unknown system {name!r}", subject="--systems", remedy=f"known: {', '.join(ARMS)}"
            )
        if "@" in name and (base not in WITH_CODEC or not is_codec_name(codec)):
            raise UsageError(
                f"{name!r} cannot be had",
                subject="--systems",
                remedy=f"{' and '.join(WITH_CODEC)} take a codec such as doc@k8v8 or doc@archive@1.2",
            )
        arms.append(Arm(name, base, codec or None))
    if not arms:
        raise UsageError("no system is named", subject="--systems", remedy=f"known: {', '.join(ARMS)}")
    return arms


class ArmBuilder:
    """Builds the systems of one set for one engine; chunks and vectors are made once."""

    def __init__(self, engine: Engine, shelf: Shelf, gold: GoldFiles, budget: Budget) -> None:
        self._engine, self._shelf, self._gold, self._budget = engine, shelf, gold, budget
        self._chunks: list[Chunk] | None = None
        self._searches: dict[str, ChunkSearch] = {}

    def build(self, arm: Arm) -> System:
        """The system.  Raises EmbedderMissing, library and storage errors."""
        budget = self._budget
        if arm.base == CLOSED_BOOK:
            return ClosedBook(self._engine, budget.max_tokens)
        if arm.base in CHUNK_ARMS:
            search, parameters = self._search(arm.base), self._parameters(arm.base)
            return ChunkSystem(
                arm.name,
                self._engine,
                self._chunks or [],
                search,
                parameters,
                max_tokens=budget.max_tokens,
                top=budget.top_chunks,
            )
        variant = Variant(
            arm.name,
            budget.top_k,
            exact=arm.base == DOC_EXACT,
            pins_gold=arm.base == ORACLE,
            repair_tokens=budget.repair_tokens,
        )
        return DocumentSystem(variant, self._engine, self._gold, budget.max_tokens)

    def _parameters(self, base: str) -> dict[str, object]:
        budget = self._budget
        parameters: dict[str, object] = {
            "search": base,
            "pipeline": _PIPELINE,
            "chunk_tokens": budget.chunk_tokens,
            "overlap_tokens": budget.overlap_tokens,
        }
        if base != BM25:
            parameters |= {"embedder": MODEL_NAME, "network": NETWORK_SHA256[:16], "window": WINDOW_PIECES}
        return parameters

    def _search(self, base: str) -> ChunkSearch:
        if base not in self._searches:
            if base == HYBRID:
                self._searches[base] = FusedSearch([self._search(BM25), self._search(DENSE)])
            else:
                self._searches[base] = self._make_search(base)
        return self._searches[base]

    def _make_search(self, base: str) -> ChunkSearch:
        """Cut the chunks, if that has not happened, and index them; the time it takes is noted."""
        started = time.perf_counter()
        chunks = self._cut()
        search: ChunkSearch
        if base == BM25:
            search = Bm25Search([f"{chunk.title}\n{self._text(chunk)}" for chunk in chunks])
            reused = False
        else:
            search, reused = self._dense(chunks)
        if not reused:
            n_tokens = sum(chunk.n_tokens for chunk in chunks)
            self._shelf.note_chunked(base, time.perf_counter() - started, n_tokens)
        return search

    def _cut(self) -> list[Chunk]:
        if self._chunks is None:
            model, budget = self._engine.model, self._budget
            self._chunks = library_chunks(
                self._engine.library,
                lambda word: len(model.tokenize(word)),
                size=budget.chunk_tokens,
                overlap=budget.overlap_tokens,
            )
        return self._chunks

    def _text(self, chunk: Chunk) -> str:
        return self._engine.library.text(chunk.document_id).text[chunk.start : chunk.end]

    def _dense(self, chunks: Sequence[Chunk]) -> tuple[DenseSearch, bool]:
        """The search, and whether its vectors were there already."""
        embedder = Embedder(self._engine.settings.threads)
        windows: list[list[int]] = []
        owners: list[int] = []
        for number, chunk in enumerate(chunks):
            found = embedder.windows(chunk.title, self._text(chunk))
            windows += found
            owners += [number] * len(found)
        digest = hashlib.sha256(NETWORK_SHA256.encode())
        for window in windows:
            digest.update(np.asarray([len(window), *window], np.int64).tobytes())
        path = self._shelf.folder / f"dense-{digest.hexdigest()[:24]}.npy"
        vectors = _load(path, len(windows))
        reused = vectors is not None
        if vectors is None:
            vectors = embedder.embed(windows)
            _save(path, vectors)
        search = DenseSearch(
            vectors, np.asarray(owners, np.int64), len(chunks), lambda text: question_vector(embedder, text)
        )
        return search, reused


def _load(path: Path, n: int) -> F32 | None:
    """(n, d) stored vectors; None when they are not there or not usable."""
    try:
        vectors: F32 = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    usable = (
        vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == n and np.isfinite(vectors).all()
    )
    return vectors if usable else None


def _save(path: Path, vectors: F32) -> None:
    """Write atomically.  Raises StorageError."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            try:
                np.save(file, vectors, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
