"""Codecs: how the K and V tensors of a layer become bytes, and how a name chooses one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kvfiles.codecs.archive.codec import VERSION as ARCHIVE_VERSION
from kvfiles.codecs.archive.codec import ArchiveCodec, log_quality
from kvfiles.codecs.archive.tables import ArchiveTables, TablesSource, missing
from kvfiles.codecs.base import ChunkTarget, Codec, Decoder, TensorShape
from kvfiles.codecs.exact import ExactCodec
from kvfiles.codecs.rotated import RotatedCodec
from kvfiles.errors import CalibrationMissing, SnapshotCorrupt, SnapshotVersion
from kvfiles.kernels import Kernels
from kvfiles.runtime.model import ModelShape

__all__ = [
    "ARCHIVE_QUALITIES",
    "DEFAULT_CODEC",
    "ArchiveCodec",
    "ArchiveTables",
    "ChunkTarget",
    "Codec",
    "Decoder",
    "ExactCodec",
    "RotatedCodec",
    "TablesSource",
    "TensorShape",
    "archive_quality",
    "canonical_name",
    "codec_label",
    "codec_named",
    "from_header",
    "is_codec_name",
    "label_of_name",
    "tables_id",
]

DEFAULT_CODEC = "k4v4"
DEFAULT_SINKS = 4

ARCHIVE_QUALITIES = {"archive-fine": 1.5, "archive": 1.8, "archive-small": 2.4}
"""The named qualities g of the archive codec: larger is smaller."""

_ARCHIVE_NAME = re.compile(r"archive@([0-9]{1,2}(?:\.[0-9]{1,4})?)")
_ROTATED_NAME = re.compile(r"k([2-8])v([2-8])")


def is_codec_name(name: str) -> bool:
    """Whether `codec_named` knows `name`."""
    if name == "exact" or _ROTATED_NAME.fullmatch(name) is not None:
        return True
    try:
        return archive_quality(name) is not None
    except ValueError:
        return False


def archive_quality(name: str) -> int | None:
    """The `log_g` of an archive codec's name, None for other codecs; ValueError for one out of range."""
    match = _ARCHIVE_NAME.fullmatch(name)
    if match is not None:
        return log_quality(float(match[1]))
    g = ARCHIVE_QUALITIES.get(name)
    return None if g is None else log_quality(g)


def codec_label(name: str, params: Mapping[str, Any]) -> str:
    """The codec of a file in short: `exact`, `k4v4`, `archive` at any quality.

    Parameters may come from anybody: what makes no sense gives the codec's bare `name`.
    """
    bits = params.get("k_bits"), params.get("v_bits")
    return f"k{bits[0]}v{bits[1]}" if name == "rotated" and all(type(n) is int for n in bits) else name


def canonical_name(name: str) -> str:
    """`name`, or for the archive codec `archive@G`: a quality's own name may come to mean another figure."""
    if name in ARCHIVE_QUALITIES:
        return f"archive@{ARCHIVE_QUALITIES[name]:g}"
    match = _ARCHIVE_NAME.fullmatch(name)
    return name if match is None else f"archive@{float(match[1]):g}"


def label_of_name(name: str) -> str:
    """`codec_label` of what `codec_named` makes of `name`; any other name itself."""
    return ArchiveCodec.name if is_codec_name(name) and archive_quality(name) is not None else name


def tables_id(name: str, params: Mapping[str, Any]) -> str | None:
    """The id of the tables that a file of this codec names; None when it needs none."""
    return str(params.get("tables")) if name == ArchiveCodec.name else None


def codec_named(name: str, shape: ModelShape, kernels: Kernels, tables: ArchiveTables | None = None) -> Codec:
    """The codec that a person names: `exact`, `k4v4` for rotated with 4 bits for K and for V, `archive`,
    `archive-fine`, `archive-small` or `archive@G` with a quality from 0.25 (fine) to 8 (small).

    Raises ValueError for anything else, CalibrationMissing for an archive without the model's `tables`.
    """
    if name == "exact":
        return ExactCodec()
    log_g = archive_quality(name)
    if log_g is not None:
        if tables is None:
            raise CalibrationMissing(
                "the archive codec needs a calibration of the model",
                remedy="run beyondrag models calibrate, or choose another codec",
            )
        tables.require(shape)
        return ArchiveCodec(kernels, tables, log_g=log_g)
    match = _ROTATED_NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"unknown codec {name!r}; use exact, archive, or kXvY with X and Y from 2 to 8")
    return RotatedCodec(
        kernels,
        k_bits=int(match[1]),
        v_bits=int(match[2]),
        n_sink=DEFAULT_SINKS,
        k_head_dim=shape.k_head_dim,
        v_head_dim=shape.v_head_dim,
    )


def from_header(
    name: str,
    params: dict[str, Any],
    shape: ModelShape,
    kernels: Kernels,
    subject: str,
    tables: TablesSource | None = None,
) -> Codec:
    """The codec of a file; raises SnapshotVersion for an unknown one, SnapshotCorrupt for bad parameters,
    CalibrationMissing or CalibrationCorrupt when `tables` does not find what the file was coded with."""
    remedy = "update beyondrag, or ingest the document again"
    try:
        if name == "exact":
            return ExactCodec()
        if name == "rotated":
            codec = RotatedCodec(kernels, **{key: int(value) for key, value in params.items()})
            if (codec.k_head_dim, codec.v_head_dim) != (shape.k_head_dim, shape.v_head_dim):
                raise ValueError("the heads are not the model's")
            return codec
        if name == "archive":
            if int(params["version"]) != ARCHIVE_VERSION:
                raise SnapshotVersion("another version of the archive codec", subject=subject, remedy=remedy)
            wanted = str(params["tables"])
            if tables is None:
                raise missing(wanted)
            found = tables.find(wanted)
            found.require(shape, subject)
            return ArchiveCodec(kernels, found, log_g=int(params["log_g"]))
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise SnapshotCorrupt(
            f"codec parameters make no sense ({error})", subject=subject, remedy=remedy
        ) from error
    raise SnapshotVersion(f"codec {name!r} is not known to this program", subject=subject, remedy=remedy)
