"""A snapshot: the K/V of one volume in a `.kv` file, saved from a state and read for composition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs import (
    ChunkTarget,
    Codec,
    Decoder,
    TensorShape,
    codec_label,
    from_header,
    tables_id,
)
from kvfiles.codecs.archive.tables import TablesSource
from kvfiles.codecs.base import CHUNK_TOKENS
from kvfiles.container import Container, Stretch, write_container
from kvfiles.errors import CalibrationError, SnapshotCorrupt, SnapshotMismatch, SnapshotVersion
from kvfiles.kernels import Kernels, Placing
from kvfiles.positions import RopeTables
from kvfiles.runtime.model import ModelShape, Tokens
from kvfiles.state_blob import StateView

SCHEMA = 1
MAX_TOKENS = 1 << 20
"""Positions that a file may speak of: more would only make us compute rotations for nothing."""
_REMEDY = "ingest the document again; the file will be rewritten"

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """What a `.kv` file says about itself.

    `profile` identifies everything the tensors depend on (model, prefix, wrapper, tokenizer);
    `position` is where the first token stood when it was read; `about` names document and volume.
    """

    profile: str
    shape: ModelShape
    rope: dict[str, Any]
    n_tokens: int
    position: int
    codec: str
    codec_params: dict[str, Any]
    about: dict[str, Any]

    @property
    def codec_label(self) -> str:
        """The codec in short, as `codecs.codec_label` names it."""
        return codec_label(self.codec, self.codec_params)

    @property
    def tables_id(self) -> str | None:
        """The id of the calibration that the file was coded with; None for codecs that need none."""
        return tables_id(self.codec, self.codec_params)


def save_snapshot(
    path: Path,
    state: StateView,
    tokens: Tokens,
    *,
    first: int,
    codec: Codec,
    tables: RopeTables,
    shape: ModelShape,
    rope: Mapping[str, Any],
    profile: str,
    about: Mapping[str, Any],
    pool: Executor,
) -> int:
    """Write the `len(tokens)` cells of `state` from cell `first` on; returns the file's size in bytes.

    Layers are encoded in parallel on `pool`.  Raises StorageError, and ValueError when `state` does
    not hold consecutive positions.
    """
    n = len(tokens)
    cells = slice(first, first + n)
    positions = state.positions[cells]
    position = int(positions[0]) if n else 0
    if len(positions) != n or not np.array_equal(positions, np.arange(position, position + n)):
        raise ValueError("the state does not hold the tokens at consecutive positions")
    arrays: dict[str, Array] = {"tokens": np.asarray(tokens, np.int32)}
    arrays |= codec.encode(
        [rows[cells] for rows in state.k], [rows[cells] for rows in state.v], tables.at(position, n), pool
    )
    meta = {
        "schema": SCHEMA,
        "profile": profile,
        "shape": [shape.n_layer, shape.n_kv_head, shape.k_head_dim, shape.v_head_dim],
        "rope": dict(rope),
        "n_tokens": n,
        "position": position,
        "chunk_tokens": CHUNK_TOKENS,
        "codec": codec.name,
        "codec_params": dict(codec.params()),
        "about": dict(about),
    }
    return write_container(path, meta, arrays)


class SnapshotDecoder:
    """Reads, verifies and decodes the chunks of one file.  Thread-safe."""

    def __init__(
        self, container: Container, decoder: Decoder, corrupt: Callable[[str], SnapshotCorrupt]
    ) -> None:
        self._container = container
        self._decoder = decoder
        self._corrupt = corrupt

    def stretch(self, row0: int) -> Stretch:
        """The part of the file that holds the chunk that begins with token `row0`."""
        return self._container.stretch(self._decoder.chunk_names(row0))

    @property
    def whole_chunks(self) -> bool:
        """Whether all rows of a chunk have to be decoded together."""
        return self._decoder.whole_chunks

    def fileno(self) -> int:
        """The open file."""
        return self._container.fileno()

    def undecodable(self, row0: int) -> SnapshotCorrupt:
        """The error for a chunk that was read and verified, but is none that an encoder wrote."""
        return self._corrupt(f"token {row0}: the codes make no sense")

    def check(self, row0: int) -> None:
        """Read and verify a chunk.  Raises SnapshotCorrupt or StorageError."""
        self._container.arrays(self._decoder.chunk_names(row0))

    def decode(self, chunk: ChunkTarget, buffer: NDArray[np.uint8], placing: Placing) -> None:
        """Read the chunk into `buffer`, which has room for its stretch, verify it and decode it.

        Raises SnapshotCorrupt or StorageError.
        """
        self._place(self._container.arrays(self._decoder.chunk_names(chunk.row0), buffer), chunk, placing)

    def plan(self, chunk: ChunkTarget, stretch: Stretch, buffer: NDArray[np.uint8], placing: Placing) -> None:
        """Like `decode` for a `placing` that runs later; whoever runs it reads and verifies `stretch` before.

        Raises SnapshotCorrupt.
        """
        self._place(stretch.views(buffer), chunk, placing)

    def _place(self, arrays: Mapping[str, Array], chunk: ChunkTarget, placing: Placing) -> None:
        try:
            self._decoder.decode(arrays, chunk, placing)
        except (ValueError, TypeError, KeyError) as error:
            raise self._corrupt(f"token {chunk.row0}: arrays do not fit ({error})") from error


class Snapshot:
    """An open `.kv` file; sections are verified when they are read.  Use as a context manager.

    Raises SnapshotCorrupt, SnapshotVersion or StorageError; CalibrationMissing or CalibrationCorrupt, about
    `path`, when it was coded with calibration tables that `tables` does not find.
    """

    def __init__(self, path: Path, kernels: Kernels, tables: TablesSource | None = None) -> None:
        self.path = path
        self._container = Container(path)
        try:
            self.header = read_header(self._container)
            header = self.header
            try:
                self.codec = from_header(
                    header.codec, header.codec_params, header.shape, kernels, str(path), tables
                )
            except CalibrationError as error:
                raise type(error)(error.message, subject=str(path), remedy=error.remedy) from error
            self.tokens: Tokens = self._container.array("tokens")
            if self.tokens.dtype != np.int32 or self.tokens.shape != (self.header.n_tokens,):
                raise self._corrupt("the token list does not fit")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def n_tokens(self) -> int:
        return self.header.n_tokens

    @property
    def size_bytes(self) -> int:
        return self._container.size_bytes

    @property
    def container(self) -> Container:
        """The file below, for inspection."""
        return self._container

    @property
    def bits_per_value(self) -> float:
        """See `stored_bits`."""
        return stored_bits(self._container, self.header)

    def close(self) -> None:
        self.tokens = np.empty(0, np.int32)
        self._container.close()

    def require(self, *, profile: str, shape: ModelShape, rope: Mapping[str, Any]) -> None:
        """Raise SnapshotMismatch unless the file was made for this profile and model."""
        what = ""
        if self.header.shape != shape or self.header.rope != dict(rope):
            what = "it was made with another model"
        elif self.header.profile != profile:
            what = "it was made with another model, prompt or codec"
        if what:
            raise SnapshotMismatch(
                what, subject=str(self.path), remedy="run beyondrag ingest again to renew it"
            )

    def decoder(self) -> SnapshotDecoder:
        """Ready to decode chunks; raises SnapshotCorrupt.  It must not outlive the snapshot."""
        header = self.header
        shape = TensorShape(header.shape.n_layer, header.n_tokens, header.shape.k_width, header.shape.v_width)
        try:
            decoder = self.codec.decoder(self._container.arrays(self.codec.document_names()), shape)
        except (ValueError, TypeError, KeyError) as error:
            raise self._corrupt(f"arrays do not fit ({error})") from error
        return SnapshotDecoder(self._container, decoder, self._corrupt)

    def _corrupt(self, why: str) -> SnapshotCorrupt:
        return SnapshotCorrupt(why, subject=str(self.path), remedy=_REMEDY)


def read_header(container: Container) -> SnapshotHeader:
    """What a file says about itself; no codec is made.  Raises SnapshotCorrupt, SnapshotVersion."""
    meta, subject = container.meta, str(container.path)
    found = (meta.get("schema"), meta.get("chunk_tokens"))
    if found != (SCHEMA, CHUNK_TOKENS):
        raise SnapshotVersion(
            f"snapshot schema {found!r:.40} is not known here, only {SCHEMA, CHUNK_TOKENS}",
            subject=subject,
            remedy="update beyondrag, or ingest the document again",
        )
    try:
        header = SnapshotHeader(
            profile=str(meta["profile"]),
            shape=ModelShape(*(int(n) for n in meta["shape"])),
            rope=dict(meta["rope"]),
            n_tokens=int(meta["n_tokens"]),
            position=int(meta["position"]),
            codec=str(meta["codec"]),
            codec_params=dict(meta["codec_params"]),
            about=dict(meta["about"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        why = f"the header makes no sense ({error})"
        raise SnapshotCorrupt(why, subject=subject, remedy=_REMEDY) from error
    if not (0 < header.n_tokens <= MAX_TOKENS and 0 <= header.position <= MAX_TOKENS - header.n_tokens):
        raise SnapshotCorrupt("implausible number of tokens", subject=subject, remedy=_REMEDY)
    return header


def stored_bits(container: Container, header: SnapshotHeader) -> float:
    """The bits of all sections but the token ids, over the number of K and V elements."""
    n_bytes = sum(section.n_bytes for section in container.sections.values() if section.name != "tokens")
    n_values = header.n_tokens * header.shape.values_per_token
    return 8 * n_bytes / n_values if n_values > 0 else 0.0
