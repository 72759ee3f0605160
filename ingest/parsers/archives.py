"""ZIP files from strangers: how much is unpacked is bounded before and while it is read."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from io import BytesIO

from ingest.errors import ParseFailure
from ingest.parsers.base import Limits

ZIP_START = b"PK\x03\x04"
MAX_MEMBERS = 20_000
_DIRECTORY_RECORD = b"PK\x01\x02"
# Stored archives within the archive have records of their own, which are counted with it.
_MAX_DIRECTORY_RECORDS = 10 * MAX_MEMBERS
_CHUNK_BYTES = 1 << 20
NO_PASSWORD = "save a copy without a password in its own program and ingest that"  # noqa: S105  (prose)


class Archive:
    """The members of a ZIP file in memory.

    The bytes unpacked, all members together, stay within `Limits.max_unpacked_bytes`.

    Raises:
        ParseFailure: "broken" (no ZIP file, or a damaged one) or "too-large".
    """

    def __init__(self, data: bytes, limits: Limits) -> None:
        if data.count(_DIRECTORY_RECORD) > _MAX_DIRECTORY_RECORDS:
            raise _too_many()
        try:
            self._zip = zipfile.ZipFile(BytesIO(data))
        except MemoryError:
            raise
        except Exception as error:  # zipfile trusts the offsets in a file: a broken one may raise anything
            raise ParseFailure("broken", detail=f"it cannot be unpacked: {error}") from error
        if len(self._zip.infolist()) > MAX_MEMBERS:
            raise _too_many()
        self.names = frozenset(self._zip.namelist())
        self._max_bytes = self._left = limits.max_unpacked_bytes

    def read(self, name: str) -> bytes:
        """The unpacked member `name`.

        Raises:
            ParseFailure: "broken" (not there, or damaged), "encrypted" or "too-large".
        """
        if name not in self.names:
            raise ParseFailure("broken", detail=f"it lacks {name}")
        pieces: list[bytes] = []
        try:
            if self._zip.getinfo(name).flag_bits & 1:
                raise ParseFailure("encrypted", remedy=NO_PASSWORD)
            with self._zip.open(name) as member:
                # Counted as it comes out: the sizes in the directory may be forged.
                while chunk := member.read(_CHUNK_BYTES):
                    self._left -= len(chunk)
                    if self._left < 0:
                        raise self._too_large()
                    pieces.append(chunk)
        except (ParseFailure, MemoryError):
            raise
        except Exception as error:  # as above
            raise ParseFailure("broken", detail=f"{name}: {error}") from error
        return b"".join(pieces)

    def read_if_there(self, name: str) -> bytes:
        """As `read`; b"" when there is no such member."""
        return self.read(name) if name in self.names else b""

    def require_within_limit(self, suffixes: tuple[str, ...]) -> None:
        """Check the announced sizes of the members with these suffixes, for a library that unpacks them.

        Python's zipfile unpacks no more of a member than announced.

        Raises:
            ParseFailure: "too-large" or "encrypted".
        """
        members = [info for info in self._zip.infolist() if info.filename.lower().endswith(suffixes)]
        if any(info.flag_bits & 1 for info in members):
            raise ParseFailure("encrypted", remedy=NO_PASSWORD)
        if sum(info.file_size for info in members) > self._left:
            raise self._too_large()

    def _too_large(self) -> ParseFailure:
        return ParseFailure("too-large", detail=f"it unpacks to more than {self._max_bytes / 1e6:,.0f} MB")


def archive_kind(data: bytes) -> str:
    """The parser that a ZIP file of a known kind is for, "" for others.  Nothing is unpacked."""
    if not data.startswith(ZIP_START) or data.count(_DIRECTORY_RECORD) > _MAX_DIRECTORY_RECORDS:
        return ""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            names = archive.namelist()
    except MemoryError:
        raise
    except Exception:  # as above
        return ""
    # EPUB and OpenDocument store their kind, uncompressed, as the first member.
    head = data[:200]
    if b"application/epub+zip" in head or "META-INF/container.xml" in names:
        return "epub"
    if b"application/vnd.oasis.opendocument.text" in head:
        return "odt"
    return _office_kind(names)


def _office_kind(names: Iterable[str]) -> str:
    folders = {name.partition("/")[0] for name in names if "/" in name}
    if "[Content_Types].xml" not in names:
        return ""
    for folder, kind in (("word", "docx"), ("ppt", "pptx"), ("xl", "xlsx")):
        if folder in folders:
            return kind
    return ""


def _too_many() -> ParseFailure:
    return ParseFailure("too-large", detail=f"it holds more than {MAX_MEMBERS:,} members")
