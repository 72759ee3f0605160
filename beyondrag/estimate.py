"""What reading would cost, without opening the model: sizes from its header, time at the last rate."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from beyondrag.reading import profile_for
from beyondrag.settings import Settings
from kvfiles import kernels
from kvfiles.codecs import codec_named
from kvfiles.errors import BeyondragError
from kvfiles.gguf_file import GgufHeader, read_gguf
from kvfiles.runtime.model import ModelShape
from kvfiles.snapshot import Snapshot
from library.store import Library

CHARS_PER_TOKEN = 3.6
"""Of English prose with the default model's tokenizer; only used before the model is opened."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens, and where the model is known bytes of snapshots and seconds; None where nothing is known."""

    tokens: int
    size_bytes: int | None
    seconds: float | None


def estimate(n_chars: int, settings: Settings, library: Library | None) -> Estimate:
    """The cost of reading `n_chars` characters with the configured model."""
    tokens = round(n_chars / CHARS_PER_TOKEN)
    try:
        path, profile = profile_for(settings)
        shape = shape_from_header(read_gguf(path))
    except (BeyondragError, ValueError, TypeError):  # no model yet, or one that ingest will refuse by name
        return Estimate(tokens, None, None)
    best = kernels.best()
    codec = codec_named(settings.codec, shape, best)
    bits = codec.bits_per_value(max(tokens, 1), shape.k_width, shape.v_width)
    seconds = None
    if library is not None:
        with (
            suppress(BeyondragError, KeyError, TypeError, ValueError, ZeroDivisionError),
            Snapshot(library.prefix_path(profile.id), best) as prefix,
        ):
            seconds = tokens / float(prefix.header.about["tokens_per_s"])
    return Estimate(tokens, round(tokens * shape.values_per_token * bits / 8), seconds)


def shape_from_header(header: GgufHeader) -> ModelShape:
    """The cache's sizes from a GGUF's metadata.  Raises TypeError or ValueError when they are not there."""

    def number(key: str) -> int:
        value = header.arch(key)
        if not isinstance(value, int):
            raise TypeError(f"{key} is not in the metadata")
        return value

    n_head = number("attention.head_count")
    kv_heads = header.arch("attention.head_count_kv")
    default_dim = number("embedding_length") // max(n_head, 1)
    k_dim, v_dim = header.arch("attention.key_length"), header.arch("attention.value_length")
    return ModelShape(
        n_layer=number("block_count"),
        n_kv_head=kv_heads if isinstance(kv_heads, int) else n_head,
        k_head_dim=k_dim if isinstance(k_dim, int) else default_dim,
        v_head_dim=v_dim if isinstance(v_dim, int) else default_dim,
    )
