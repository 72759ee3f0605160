"""Text recognition with the system's tesseract: one process a page, with a time limit.

The pictures go in over a pipe as PGM and nothing is written to disk.  The memory limit of this process
holds for tesseract too, and whoever kills this process group ends it with us.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence

from ingest.errors import ParseFailure
from ingest.parsers.pdfium import Picture
from ingest.parsers.titles import shorten

DPI = 300
"""What tesseract is made for; https://tesseract-ocr.github.io/tessdoc/ImproveQuality.html"""

MAX_PAGE_S = 120.0
_LIST_S = 20.0
_MAX_TEXT_BYTES = 2_000_000
_LANGUAGES = re.compile(
    r"[A-Za-z][A-Za-z_]{1,30}(?:/[A-Za-z_]{2,30})?(?:\+[A-Za-z][A-Za-z_]{1,30}(?:/[A-Za-z_]{2,30})?){0,9}"
)
_INSTALL = (
    "install tesseract (Debian: apt install tesseract-ocr, macOS: brew install tesseract)"
    " or add a text layer elsewhere (ocrmypdf IN.pdf OUT.pdf)"
)


class OcrFailure(Exception):
    """A page could not be recognised; the message says why."""


class Tesseract:
    """Recognises pages in `languages` ("eng+deu"), `seconds` in all.

    Raises:
        ParseFailure: "scanned": tesseract is not there, or lacks a language.
    """

    def __init__(self, languages: str, seconds: float) -> None:
        program = shutil.which("tesseract")
        if program is None:
            raise ParseFailure("scanned", detail="tesseract is not installed", remedy=_INSTALL)
        missing = _missing(languages, _installed(program))
        if missing:
            raise ParseFailure(
                "scanned",
                detail=f"tesseract does not know the language {missing!r}",
                remedy="name installed languages (tesseract --list-langs) or install that one",
            )
        self._command = [program, "stdin", "stdout", "-l", languages]
        self._ends_at = time.monotonic() + seconds

    @property
    def is_out_of_time(self) -> bool:
        """Whether the time for all pages is used up."""
        return time.monotonic() >= self._ends_at

    def text(self, picture: Picture) -> str:
        """The text on a page.

        Raises:
            OcrFailure: tesseract failed, or took too long.
        """
        header = f"P5\n{picture.width} {picture.height}\n255\n".encode("ascii")
        seconds = min(MAX_PAGE_S, self._ends_at - time.monotonic())
        done = _run([*self._command, "--dpi", str(picture.dpi)], header + picture.pixels, seconds)
        return done[:_MAX_TEXT_BYTES].decode("utf-8", errors="replace").replace("\f", "")


def _installed(program: str) -> frozenset[str]:
    try:
        listed = _run([program, "--list-langs"], b"", _LIST_S)
    except OcrFailure as failure:
        raise ParseFailure("scanned", detail=f"tesseract: {failure}", remedy=_INSTALL) from failure
    return frozenset(listed.decode("utf-8", errors="replace").split("\n")[1:])


def _missing(languages: str, installed: frozenset[str]) -> str:
    if not _LANGUAGES.fullmatch(languages):
        return shorten(languages, 60)
    return next((name for name in languages.split("+") if name not in installed), "")


def _run(command: Sequence[str], data: bytes, seconds: float) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603  (the system's own program, and arguments checked above)
            command,
            input=data,
            capture_output=True,
            timeout=max(seconds, 0.01),
            check=False,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},  # the other cores read other files
        )
    except subprocess.TimeoutExpired:
        raise OcrFailure(f"it took longer than {seconds:.0f} s") from None
    except OSError as error:
        raise OcrFailure(error.strerror or str(error)) from error
    if done.returncode != 0:
        said = done.stderr[-2_000:].decode("utf-8", errors="replace").strip()
        raise OcrFailure(shorten(said) or f"tesseract ended with {done.returncode}")
    return done.stdout
