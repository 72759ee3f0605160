"""What reading would cost, without opening the model: sizes from its header, time at the last rate."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from beyondrag.calibration.running import expected_seconds
from beyondrag.codec_choice import CodecChoice, choose_codec
from beyondrag.reading import profile_for
from beyondrag.settings import Settings
from kvfiles import kernels
from kvfiles.codecs import archive_quality
from kvfiles.errors import BeyondragError
from kvfiles.gguf_file import GgufHeader, read_gguf
from kvfiles.runtime.model import ModelShape
from kvfiles.snapshot import Snapshot
from library.store import Library

CHARS_PER_TOKEN = 3.6
"""Of English prose with the default model's tokenizer; only used before the model is opened."""

_LOG_G = (-512, -256, -132, 0, 67, 124, 196, 274, 338, 406, 512, 768)
_ARCHIVE_BITS = (2.85, 1.94, 1.55, 1.19, 1.02, 0.89, 0.73, 0.58, 0.47, 0.37, 0.24, 0.08)
"""Bits a value of the archive codec with the default model, by log2 of the quality in 1/256; only used before
a model is calibrated."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens, and where the model is known bytes of snapshots and seconds; None where nothing is known.

    `calibration_s`: about how long the model is calibrated first, None when it need not be or is not known.
    `warnings` say that another codec than the configured one will be used, and why.
    """

    tokens: int
    size_bytes: int | None
    seconds: float | None
    calibration_s: float | None = None
    warnings: tuple[str, ...] = ()


def estimate(
    n_chars: int, settings: Settings, library: Library | None, *, calibrates: bool = True
) -> Estimate:
    """The cost of reading `n_chars` characters with the configured model.

    `calibrates`: whoever reads calibrates the model first, if that is needed.
    """
    tokens = round(n_chars / CHARS_PER_TOKEN)
    try:
        path, profile = profile_for(settings)
        shape = shape_from_header(read_gguf(path))
    except (BeyondragError, ValueError, TypeError):  # no model yet, or one that ingest will refuse by name
        return Estimate(tokens, None, None)
    best = kernels.best()
    chosen = choose_codec(settings, path, profile.model_sha256, shape, best)
    if not calibrates:
        chosen = replace(chosen, may_calibrate=False)
    bits = expected_bits(chosen, settings.codec, shape, max(tokens, 1))
    rate = None
    if library is not None:
        with (
            suppress(BeyondragError, KeyError, TypeError, ValueError, ZeroDivisionError),
            Snapshot(library.prefix_path(profile.id), best) as prefix,
        ):
            rate = float(prefix.header.about["tokens_per_s"])
    size = round(tokens * shape.values_per_token * bits / 8)
    seconds = tokens / rate if rate else None
    if chosen.may_calibrate:
        return Estimate(tokens, size, seconds, expected_seconds(shape, rate) if rate else None)
    return Estimate(tokens, size, seconds, None, (chosen.warning,) if chosen.warning else ())


def expected_bits(chosen: CodecChoice, codec: str, shape: ModelShape, n_tokens: int) -> float:
    """Bits a value of snapshots of `n_tokens`; where the model is yet to be calibrated, as after that."""
    log_g = archive_quality(codec)
    if chosen.may_calibrate and log_g is not None:
        return float(np.interp(log_g, _LOG_G, _ARCHIVE_BITS))
    return chosen.codec.bits_per_value(n_tokens, shape.k_width, shape.v_width)


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
