"""How a document's text and page map become bytes of the catalogue, and back.

Text is UTF-8, pages are JSON ``[[label, start, end], ...]``; both deflated, with their inflated
sizes beside them, so that a damaged or hostile row cannot inflate without bound.  The checksum is
xxh3-128 over both.  Deflate: in the standard library, and a text is a hundredth of its snapshot.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import orjson
import xxhash

from library.errors import LibraryDamaged
from library.records import DocumentText, PageSpan
from library.wording import one_line, without_lone_surrogates

_LABEL_LIMIT = 200


@dataclass(frozen=True, slots=True)
class StoredText:
    """One row of the table `texts` without its document id."""

    text_zlib: bytes
    n_bytes: int
    pages_zlib: bytes
    pages_n_bytes: int
    checksum: str


def storable(text: DocumentText) -> DocumentText:
    """`text` as it can be stored: lone surrogates become U+FFFD (offsets stay), labels one line."""
    return DocumentText(
        without_lone_surrogates(text.text),
        tuple(PageSpan(one_line(page.label, _LABEL_LIMIT), page.start, page.end) for page in text.pages),
    )


def pack_text(text: DocumentText) -> StoredText:
    """`text` must be `storable`."""
    raw, pages = _encoded(text)
    return StoredText(
        zlib.compress(raw, 6), len(raw), zlib.compress(pages, 6), len(pages), _checksum(raw, pages)
    )


def text_checksum(text: DocumentText) -> str:
    """The checksum that `pack_text` gives; `text` must be `storable`."""
    return _checksum(*_encoded(text))


def unpack_text(stored: StoredText, document_id: str) -> DocumentText:
    """The text of a row.

    Raises:
        LibraryDamaged: sizes, checksum or page map do not fit.
    """
    try:
        raw = _inflate(stored.text_zlib, stored.n_bytes)
        pages = _inflate(stored.pages_zlib, stored.pages_n_bytes)
        if _checksum(raw, pages) != stored.checksum:
            raise ValueError("its checksum does not fit")
        return DocumentText(
            raw.decode(), tuple(PageSpan(str(label), int(a), int(b)) for label, a, b in orjson.loads(pages))
        )
    except (ValueError, TypeError, zlib.error) as error:
        raise LibraryDamaged(
            f"the stored text is damaged: {error}",
            subject=document_id[:12],
            remedy="remove the document with `beyondrag library remove` and ingest it again",
        ) from error


def _encoded(text: DocumentText) -> tuple[bytes, bytes]:
    return text.text.encode(), orjson.dumps([[page.label, page.start, page.end] for page in text.pages])


def _inflate(deflated: bytes, n_bytes: int) -> bytes:
    inflater = zlib.decompressobj()
    # One byte more than promised shows a stream that is too long; 0 would mean "no limit".
    data = inflater.decompress(deflated, n_bytes + 1)
    if len(data) != n_bytes or not inflater.eof:
        raise ValueError("its size does not fit")
    return data


def _checksum(raw: bytes, pages: bytes) -> str:
    digest = xxhash.xxh3_128(len(raw).to_bytes(8, "little"))
    digest.update(raw)
    digest.update(pages)
    return digest.hexdigest()
