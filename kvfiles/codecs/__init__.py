"""Codecs: how the K and V tensors of a layer become bytes, and how a name chooses one."""

from __future__ import annotations

import re
from typing import Any

from kvfiles.codecs.base import ChunkTarget, Codec, Decoder, TensorShape
from kvfiles.codecs.exact import ExactCodec
from kvfiles.codecs.rotated import RotatedCodec
from kvfiles.errors import SnapshotCorrupt, SnapshotVersion
from kvfiles.kernels import Kernels
from kvfiles.runtime.model import ModelShape

__all__ = [
    "DEFAULT_CODEC",
    "ChunkTarget",
    "Codec",
    "Decoder",
    "ExactCodec",
    "RotatedCodec",
    "TensorShape",
    "codec_named",
    "from_header",
    "is_codec_name",
]

DEFAULT_CODEC = "k4v4"
DEFAULT_SINKS = 4

_ROTATED_NAME = re.compile(r"k([2-8])v([2-8])")


def is_codec_name(name: str) -> bool:
    """Whether `codec_named` knows `name`."""
    return name == "exact" or _ROTATED_NAME.fullmatch(name) is not None


def codec_named(name: str, shape: ModelShape, kernels: Kernels) -> Codec:
    """The codec that a person names: `exact`, or `k4v4` for rotated with 4 bits for K and for V.

    Raises ValueError for anything else.
    """
    if name == "exact":
        return ExactCodec()
    match = _ROTATED_NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"unknown codec {name!r}; use exact, or kXvY with X and Y from 2 to 8")
    return RotatedCodec(
        kernels,
        k_bits=int(match[1]),
        v_bits=int(match[2]),
        n_sink=DEFAULT_SINKS,
        k_head_dim=shape.k_head_dim,
        v_head_dim=shape.v_head_dim,
    )


def from_header(
    name: str, params: dict[str, Any], shape: ModelShape, kernels: Kernels, subject: str
) -> Codec:
    """The codec of a file; raises SnapshotVersion for an unknown one, SnapshotCorrupt for bad parameters."""
    remedy = "update beyondrag, or ingest the document again"
    try:
        if name == "exact":
            return ExactCodec()
        if name == "rotated":
            codec = RotatedCodec(kernels, **{key: int(value) for key, value in params.items()})
            if (codec.k_head_dim, codec.v_head_dim) != (shape.k_head_dim, shape.v_head_dim):
                raise ValueError("the heads are not the model's")
            return codec
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise SnapshotCorrupt(
            f"codec parameters make no sense ({error})", subject=subject, remedy=remedy
        ) from error
    raise SnapshotVersion(f"codec {name!r} is not known to this program", subject=subject, remedy=remedy)
