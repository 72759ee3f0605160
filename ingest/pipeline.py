"""The reading queue: which volumes have no snapshot yet, and reading them one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from ingest.reader import READ_SLICE_TOKENS, Reader
from ingest.volumes import cut
from kvfiles.codecs import label_of_name
from kvfiles.errors import ContextOverflow
from kvfiles.runtime.model import Tokens
from library.errors import DocumentNotFound
from library.records import DocumentRecord, ReadingProfile, SnapshotRecord, Volume
from library.store import Library

FRAME_TOKENS = 128
"""Room for title and frame in a volume."""
MIN_VOLUME_TOKENS = 256
"""A context that cannot take this much of a document is no use for reading."""


@dataclass(frozen=True, slots=True)
class PendingVolume:
    """A volume that has no snapshot for the profile, or one in another codec than the profile's."""

    document: DocumentRecord
    volume: Volume
    n_volumes: int


def volume_title(title: str, label: str, n_volumes: int) -> str:
    """The title that stands before a volume: the document's own, with the part when there are several."""
    return title if n_volumes == 1 else f"{title} ({label})"


def volumes_of(
    library: Library, document: DocumentRecord, profile: ReadingProfile, reader: Reader
) -> tuple[Volume, ...]:
    """The document's volumes for `profile`, cut and recorded when that has not happened yet.

    Raises ContextOverflow when the context is too small to read anything in.
    """
    known = library.volumes(document.id, profile.id)
    if known:
        return known
    room = reader.max_volume_tokens - FRAME_TOKENS
    if room < MIN_VOLUME_TOKENS:
        raise ContextOverflow(
            "the context is too small to read documents in", remedy="use --context 2048 or more"
        )
    text = library.text(document.id)

    def n_tokens(part: str) -> int:
        return len(reader.volume_tokens(document.title, part))

    pieces = cut(text, n_tokens, room)
    volumes = tuple(
        Volume(document.id, ordinal, piece.char_start, piece.char_end, piece.n_tokens, piece.label)
        for ordinal, piece in enumerate(pieces)
    )
    library.put_volumes(document.id, profile.id, volumes)
    return volumes


def unread_documents(library: Library, document_ids: Iterable[str], profile_id: str) -> list[str]:
    """The documents that lack volumes or a snapshot in the profile's codec; asks the catalogue only."""
    profile = next((profile for profile in library.profiles() if profile.id == profile_id), None)
    if profile is None:
        return list(document_ids)
    codec, unread = _codec_of(profile), []
    for document_id in document_ids:
        volumes = library.volumes(document_id, profile_id)
        held = (library.snapshot(document_id, volume.ordinal, profile_id) for volume in volumes)
        if not volumes or any(record is None or record.codec != codec for record in held):
            unread.append(document_id)
    return unread


def _codec_of(profile: ReadingProfile) -> str:
    return label_of_name(str(profile.description["codec"]))


def is_read(
    library: Library, document_id: str, ordinal: int, profile: ReadingProfile, reader: Reader
) -> bool:
    """Whether there is a snapshot that `reader` would not make again."""
    record = library.snapshot(document_id, ordinal, profile.id)
    if record is None:
        return False
    return not reader.only_profiles_codec or record.codec == _codec_of(profile)


def pending_volumes(
    library: Library, document_ids: Iterable[str], profile: ReadingProfile, reader: Reader
) -> list[PendingVolume]:
    """The volumes of these documents that are not read (`is_read`) for `profile`."""
    pending = []
    for document_id in document_ids:
        document = library.document(document_id)
        volumes = volumes_of(library, document, profile, reader)
        pending += [
            PendingVolume(document, volume, len(volumes))
            for volume in volumes
            if not is_read(library, document_id, volume.ordinal, profile, reader)
        ]
    return pending


def tokens_of(library: Library, pending: PendingVolume, reader: Reader) -> Tokens:
    """(n,) i32: what `read_volume` reads.  Raises DocumentNotFound."""
    document, volume = pending.document, pending.volume
    text = library.text(document.id).text[volume.char_start : volume.char_end]
    return reader.volume_tokens(volume_title(document.title, volume.label, pending.n_volumes), text)


def read_volume(
    library: Library,
    pending: PendingVolume,
    profile: ReadingProfile,
    reader: Reader,
    *,
    on_slice: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    slice_tokens: int = READ_SLICE_TOKENS,
) -> SnapshotRecord:
    """Read one volume and keep its snapshot; safe at any moment: the row is written last.

    Raises Cancelled, StorageError and model errors, DocumentNotFound when the document went away or got
    another title meanwhile; nothing is left behind then.
    """
    document, volume = pending.document, pending.volume
    tokens = tokens_of(library, pending, reader)
    about: dict[str, object] = {
        "document": document.id,
        "title": document.title,
        "volume": volume.ordinal,
        "label": volume.label,
        "read_at": time.time(),
    }
    scratch = library.snapshot_scratch()
    try:
        reader.read(
            tokens,
            library.prefix_path(profile.id),
            scratch,
            about=about,
            on_slice=on_slice,
            cancelled=cancelled,
            slice_tokens=slice_tokens,
        )
        if library.document(document.id).title != document.title:
            raise DocumentNotFound(
                "the document was called otherwise while it was read",
                subject=document.name,
                remedy="read it again",
            )
        codec = reader.codec_label
        return library.put_snapshot(document.id, volume.ordinal, profile.id, scratch, len(tokens), codec)
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
