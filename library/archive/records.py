"""What the JSON members of an archive say, written and read strictly.

Reading raises ValueError, TypeError or KeyError for whatever this program would not have written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import orjson

from library.records import ReadingProfile, Volume
from library.wording import one_line

FORMAT = 2
"""Raised when an older program could no longer read what is written: 2 has calibrations.  An archive says
the lowest format that describes it."""

_ID_LENGTH = 64
_HEX = frozenset("0123456789abcdef")
_MAX_NUMBER = (1 << 63) - 1
_MAX_PATH = 16_384


@dataclass(frozen=True, slots=True)
class Manifest:
    """The first member.  Counts and bytes are those at the beginning of the export."""

    catalogue_format: int
    made_at: float
    n_documents: int
    n_snapshots: int
    n_bytes: int
    profiles: tuple[ReadingProfile, ...]
    n_calibrations: int = 0


@dataclass(frozen=True, slots=True)
class HeldPath:
    """A file that held the document on the machine of the export; `path` in bytes, absolute."""

    path: bytes
    size: int
    missing: bool


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot; `content` is the SHA-256 of its file."""

    ordinal: int
    content: str
    size_bytes: int
    n_tokens: int
    codec: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Reading:
    """How the document was cut and what was read of it under one profile."""

    profile_id: str
    volumes: tuple[Volume, ...]
    snapshots: tuple[StoredSnapshot, ...]


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """Everything of a document but its bytes; `checksum` is that of its text (library.texts)."""

    id: str
    title: str
    media_type: str
    n_chars: int
    n_pages: int
    warnings: tuple[str, ...]
    language: str | None
    paths: tuple[HeldPath, ...]
    text_sha256: str
    text_n_bytes: int
    pages_sha256: str
    pages_n_bytes: int
    checksum: str
    readings: tuple[Reading, ...]

    @property
    def contents(self) -> tuple[tuple[str, int], ...]:
        """Content hash and size of its snapshot files, each once, in the order of the members."""
        every = (snapshot for reading in self.readings for snapshot in reading.snapshots)
        return tuple({snapshot.content: snapshot.size_bytes for snapshot in every}.items())


@dataclass(frozen=True, slots=True)
class End:
    """The last member: what the archive really holds."""

    n_documents: int
    n_snapshots: int


def encode_manifest(manifest: Manifest) -> bytes:
    return orjson.dumps(
        {
            "archive": 2 if manifest.n_calibrations else 1,
            "calibrations": manifest.n_calibrations,
            "catalogue": manifest.catalogue_format,
            "made_at": manifest.made_at,
            "documents": manifest.n_documents,
            "snapshots": manifest.n_snapshots,
            "bytes": manifest.n_bytes,
            "profiles": [
                {"id": p.id, "model": p.model_name, "model_sha256": p.model_sha256, "is": p.description}
                for p in manifest.profiles
            ],
        }
    )


def archive_format(data: bytes) -> int:
    """The format number that a manifest of any format begins with."""
    return _count(orjson.loads(data)["archive"])


def decode_manifest(data: bytes) -> Manifest:
    told = orjson.loads(data)
    return Manifest(
        catalogue_format=_count(told["catalogue"]),
        made_at=_moment(told["made_at"]),
        n_documents=_count(told["documents"]),
        n_snapshots=_count(told["snapshots"]),
        n_bytes=_count(told["bytes"]),
        profiles=tuple(
            ReadingProfile(_text(p["id"], 128), _text(p["model"]), _hash(p["model_sha256"]), _object(p["is"]))
            for p in _list(told["profiles"])
        ),
        n_calibrations=_count(told.get("calibrations", 0)),
    )


def encode_document(entry: DocumentEntry) -> bytes:
    return orjson.dumps(
        {
            "id": entry.id,
            "title": entry.title,
            "media_type": entry.media_type,
            "characters": entry.n_chars,
            "pages": entry.n_pages,
            "warnings": entry.warnings,
            "language": entry.language,
            # Names of files are bytes, of any kind: they are quoted as in a URL.
            "paths": [[quote_from_bytes(p.path), p.size, p.missing] for p in entry.paths],
            "text": [entry.text_sha256, entry.text_n_bytes],
            "page_map": [entry.pages_sha256, entry.pages_n_bytes],
            "checksum": entry.checksum,
            "readings": [
                {
                    "profile": reading.profile_id,
                    "volumes": [[v.char_start, v.char_end, v.n_tokens, v.label] for v in reading.volumes],
                    "snapshots": [
                        [s.ordinal, s.content, s.size_bytes, s.n_tokens, s.codec, s.created_at]
                        for s in reading.snapshots
                    ],
                }
                for reading in entry.readings
            ],
        }
    )


def decode_document(data: bytes) -> DocumentEntry:
    told = orjson.loads(data)
    document_id = _hash(told["id"])
    text_sha256, text_n_bytes = told["text"]
    pages_sha256, pages_n_bytes = told["page_map"]
    return DocumentEntry(
        id=document_id,
        title=_text(told["title"]),
        media_type=_text(told["media_type"]),
        n_chars=_count(told["characters"]),
        n_pages=_count(told["pages"]),
        warnings=tuple(_text(warning) for warning in _list(told["warnings"])),
        language=_text(told.get("language") or "") or None,
        paths=tuple(_path(*row) for row in _list(told["paths"])),
        text_sha256=_hash(text_sha256),
        text_n_bytes=_count(text_n_bytes),
        pages_sha256=_hash(pages_sha256),
        pages_n_bytes=_count(pages_n_bytes),
        checksum=_text(told["checksum"]),
        readings=tuple(_reading(document_id, reading) for reading in _list(told["readings"])),
    )


def encode_end(end: End) -> bytes:
    return orjson.dumps({"documents": end.n_documents, "snapshots": end.n_snapshots})


def decode_end(data: bytes) -> End:
    told = orjson.loads(data)
    return End(_count(told["documents"]), _count(told["snapshots"]))


def _reading(document_id: str, told: Any) -> Reading:
    volumes = tuple(
        Volume(document_id, ordinal, _count(start), _count(end), _count(n_tokens), _text(label))
        for ordinal, (start, end, n_tokens, label) in enumerate(_list(told["volumes"]))
    )
    snapshots = tuple(_snapshot(*row) for row in _list(told["snapshots"]))
    ordinals = [snapshot.ordinal for snapshot in snapshots]
    if len(set(ordinals)) != len(ordinals) or any(ordinal >= len(volumes) for ordinal in ordinals):
        raise ValueError("a snapshot of no volume")
    return Reading(_text(told["profile"], 128), volumes, snapshots)


def _snapshot(
    ordinal: Any, content: Any, size: Any, n_tokens: Any, codec: Any, created: Any
) -> StoredSnapshot:
    return StoredSnapshot(
        _count(ordinal), _hash(content), _count(size), _count(n_tokens), _text(codec, 80), _moment(created)
    )


def _path(quoted: Any, size: Any, missing: Any) -> HeldPath:
    if type(quoted) is not str or not quoted.isascii():
        raise ValueError("no path of a file")
    path = unquote_to_bytes(quoted)
    if not path.startswith(b"/") or b"\0" in path or len(path) > _MAX_PATH or type(missing) is not bool:
        raise ValueError("no path of a file")
    return HeldPath(path, _count(size), missing)


def _text(value: Any, limit: int = 300) -> str:
    """A string as the library stores it: one line, no control characters."""
    if type(value) is not str:
        raise TypeError("no text")
    return one_line(value, limit)


def _hash(value: Any) -> str:
    if type(value) is not str or len(value) != _ID_LENGTH or set(value) - _HEX:
        raise ValueError("no SHA-256")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
        raise ValueError("no count")
    return value


def _moment(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError("no moment")
    return float(value)


def _list(value: Any) -> Iterable[Any]:
    if type(value) is not list:
        raise TypeError("no list")
    return value


def _object(value: Any) -> dict[str, object]:
    if type(value) is not dict:
        raise TypeError("no object")
    return value
