"""What a file is by its first bytes, and what to say when its name promises something else."""

from __future__ import annotations

from typing import Final

from ingest.errors import ParseFailure
from ingest.parsers.archives import archive_kind
from ingest.parsers.pdf import has_pdf_header, starts_as_pdf
from ingest.parsers.rtf import RTF_START

_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# A protected Office file is such an old container with one stream of this name.
_PROTECTED = "EncryptedPackage".encode("utf-16-le")
_ARCHIVES: Final = {
    "docx": "Word document",
    "pptx": "PowerPoint presentation",
    "xlsx": "Excel workbook",
    "odt": "OpenDocument text",
    "epub": "EPUB book",
}


def kind_of(data: bytes) -> str:
    """The name of the parser that `data` is for at first sight, "" for what only its suffix tells."""
    if starts_as_pdf(data):
        return "pdf"
    if data.startswith(RTF_START):
        return "rtf"
    return archive_kind(data)


def refuse_other_content(name: str, data: bytes) -> None:
    """Do nothing if `data`, which `kind_of` does not know, may be for the parser `name`.

    Raises:
        ParseFailure: "broken", or "encrypted" for a protected Office file.
    """
    if not data:
        return
    if name == "pdf" and not has_pdf_header(data):
        raise ParseFailure("broken", detail="the PDF header is missing")
    if name == "rtf":
        raise ParseFailure("broken", detail="it does not begin as RTF does")
    if name not in _ARCHIVES:
        return
    if data.startswith(_OLD_OFFICE):
        if _PROTECTED in data:
            raise ParseFailure(
                "encrypted", remedy="save a copy without a password in its own program and ingest that"
            )
        raise ParseFailure(
            "broken",
            detail="it is a file of an old Office version",
            remedy="open it in its own program and save it in the present format",
        )
    if not data.startswith(b"PK"):
        raise ParseFailure("broken", detail=f"its name says {_ARCHIVES[name]}, its content does not")
