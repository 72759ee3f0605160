"""What a library holds and what it takes, by kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from library.catalogue import Catalogue
from library.errors import LibraryDamaged
from library.files import regular_size, tree_size
from library.hot import HotTotals
from library.kvcheck import values_per_token
from library.parts import Parts

F16_BYTES = 2


@dataclass(frozen=True, slots=True)
class DocumentTotals:
    """Sums over all documents; `n_missing` of them have no file any more.

    `text_bytes` are the UTF-8 bytes of all texts, `stored_text_bytes` what they take in the catalogue.
    """

    n_documents: int
    n_pages: int
    n_chars: int
    n_missing: int
    text_bytes: int
    stored_text_bytes: int


@dataclass(frozen=True, slots=True)
class ProfileStatistics:
    """The snapshots of one reading profile and codec.

    `size_bytes` counts files that several snapshots share as often as they are shared.
    `f16_bytes` is what the same tokens take as llama.cpp's own f16 cache; None when no file could be read.
    """

    profile_id: str
    model_name: str
    codec: str
    current: bool
    n_snapshots: int
    n_tokens: int
    size_bytes: int
    f16_bytes: int | None

    @property
    def compression(self) -> float | None:
        """How many times smaller than f16."""
        return self.f16_bytes / self.size_bytes if self.f16_bytes and self.size_bytes else None

    @property
    def bits_per_value(self) -> float | None:
        """Stored bits over K and V elements, headers and token ids of the files included."""
        return 16 * self.size_bytes / self.f16_bytes if self.f16_bytes else None


@dataclass(frozen=True, slots=True)
class LibraryStatistics:
    """Counts, and bytes on disk by kind.

    `text_bytes` is the size of all texts, `stored_text_bytes` what they take in the catalogue, which is
    part of `catalogue_bytes`.  `unused_bytes` is the part of the catalogue that it will fill again.
    """

    n_documents: int
    n_missing: int
    n_pages: int
    n_chars: int
    n_failures: int
    text_bytes: int
    stored_text_bytes: int
    catalogue_bytes: int
    unused_bytes: int
    index_bytes: int
    snapshot_bytes: int
    prefix_bytes: int
    temporary_bytes: int
    profiles: tuple[ProfileStatistics, ...]
    hot: HotTotals = field(default_factory=HotTotals)

    @property
    def total_bytes(self) -> int:
        """Everything on disk."""
        return (
            self.catalogue_bytes
            + self.index_bytes
            + self.snapshot_bytes
            + self.prefix_bytes
            + self.temporary_bytes
            + self.hot.size_bytes
        )


def document_totals(catalogue: Catalogue) -> DocumentTotals:
    """Sums over all documents."""
    with catalogue.reading():
        (documents,) = catalogue.read(
            "SELECT count(*), coalesce(sum(n_pages), 0), coalesce(sum(n_chars), 0), "
            "(SELECT count(*) FROM documents AS one WHERE NOT EXISTS "
            "(SELECT 1 FROM sources WHERE document_id = one.id AND NOT missing)) FROM documents"
        )
        (texts,) = catalogue.read(
            "SELECT coalesce(sum(n_bytes), 0), "
            "coalesce(sum(length(text_zlib) + length(pages_zlib)), 0) FROM texts"
        )
    return DocumentTotals(*(int(str(value)) for value in (*documents, *texts)))


def gather(parts: Parts, current_profile: str | None) -> LibraryStatistics:
    """The statistics of a library; `current_profile` is the one whose snapshots are not stale."""
    totals = document_totals(parts.catalogue)
    database = parts.catalogue.path
    journals = [database.with_name(database.name + suffix) for suffix in ("", "-wal", "-shm")]
    return LibraryStatistics(
        n_documents=totals.n_documents,
        n_missing=totals.n_missing,
        n_pages=totals.n_pages,
        n_chars=totals.n_chars,
        n_failures=parts.failures.count(),
        text_bytes=totals.text_bytes,
        stored_text_bytes=totals.stored_text_bytes,
        catalogue_bytes=sum(regular_size(path) or 0 for path in journals),
        unused_bytes=parts.catalogue.unused_bytes(),
        index_bytes=tree_size(parts.indexing.root),
        snapshot_bytes=parts.snapshots.total_bytes(),
        prefix_bytes=tree_size(parts.files.root / "prefix"),
        temporary_bytes=tree_size(parts.files.root / "scratch"),
        hot=parts.hot.totals(),
        profiles=tuple(_profiles(parts, current_profile)),
    )


def _profiles(parts: Parts, current_profile: str | None) -> list[ProfileStatistics]:
    names = {profile.id: profile.model_name for profile in parts.readings.profiles()}
    found = []
    for profile_id, codec, n_snapshots, n_tokens, size in parts.readings.sums():
        per_token = _values_per_token(parts, profile_id)
        found.append(
            ProfileStatistics(
                profile_id,
                names.get(profile_id, ""),
                codec,
                profile_id == current_profile,
                n_snapshots,
                n_tokens,
                size,
                None if per_token is None else n_tokens * per_token * F16_BYTES,
            )
        )
    return found


def _values_per_token(parts: Parts, profile_id: str) -> int | None:
    """All snapshots of a profile are of one model, so any file that can be read tells it."""
    for content in parts.readings.some_contents(profile_id, 5):
        try:
            n_values = values_per_token(parts.files.path(content))
        except LibraryDamaged:  # no content hash
            continue
        if n_values is not None:
            return n_values
    return None
