"""Jupyter notebooks: text and code of each cell, with the beginning of what it printed.

Cells are cited by their number, counted from 1.  Long outputs are cut, pictures left out; warnings say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from ingest.errors import ParseFailure
from ingest.parsers.assembly import assemble
from ingest.parsers.base import Limits, ParsedDocument, ParsedPage
from ingest.parsers.languages import programming_language
from ingest.parsers.sanitise import sanitise
from ingest.parsers.titles import authored, first_line

MAX_OUTPUT_CHARS = 4_000  # of one cell, all its outputs together
MAX_CELLS = 50_000


class NotebookParser:
    """``.ipynb``, formats 3 and 4."""

    name = "notebook"
    media_type = "application/x-ipynb+json"
    suffixes = frozenset({".ipynb"})

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Read all cells; see `base.Parser.parse`."""
        del limits  # the size was checked before the file was read
        if not data.strip():
            raise ParseFailure("empty", remedy="nothing to read; leave it out")
        try:
            notebook = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError as error:
            raise ParseFailure("broken", detail=f"no notebook: {error}") from error
        reader = _Reader()
        pages = list(reader.pages(_cells(notebook)))
        warnings = []
        if reader.n_cut:
            warnings.append(
                f"the output of {reader.n_cut} cells was cut after {MAX_OUTPUT_CHARS:,} characters"
            )
        if reader.n_pictures:
            warnings.append(f"{reader.n_pictures} outputs without text, such as pictures, were left out")
        metadata = _dictionary(_dictionary(notebook).get("metadata"))
        title = _text(metadata.get("title"))
        return assemble(
            pages,
            authored(title),
            reader.heading,
            stem=stem,
            warnings=warnings,
            language=_language(metadata),
        )


def _language(metadata: dict[str, Any]) -> str | None:
    """That of the kernel which ran the notebook."""
    info, kernel = _dictionary(metadata.get("language_info")), _dictionary(metadata.get("kernelspec"))
    return programming_language(_text(info.get("name")) or _text(kernel.get("language")))


def _cells(notebook: object) -> list[dict[str, Any]]:
    """The cells.

    Raises:
        ParseFailure: "broken": there is no list of cells; or "too-large".
    """
    cells = _dictionary(notebook).get("cells")
    if cells is None:  # format 3 has worksheets
        sheets = _list(_dictionary(notebook).get("worksheets"))
        cells = (
            [cell for sheet in sheets for cell in _list(_dictionary(sheet).get("cells"))] if sheets else None
        )
    if not isinstance(cells, list):
        raise ParseFailure("broken", detail="no notebook: it has no cells")
    if len(cells) > MAX_CELLS:
        raise ParseFailure("too-large", detail=f"{len(cells):,} cells, the limit is {MAX_CELLS:,}")
    return [_dictionary(cell) for cell in cells]


class _Reader:
    def __init__(self) -> None:
        self.heading = ""
        self.n_cut = 0
        self.n_pictures = 0

    def pages(self, cells: list[dict[str, Any]]) -> Iterator[ParsedPage]:
        for number, cell in enumerate(cells, start=1):
            source = _text(cell.get("source", cell.get("input"))).strip("\n")
            if cell.get("cell_type") == "code":
                output = self._output(_list(cell.get("outputs")))
                parts = [f"```\n{source}\n```" if source else "", f"Output:\n{output}" if output else ""]
                text = "\n\n".join(part for part in parts if part)
            else:
                text = source
                if not self.heading and source.lstrip().startswith("#"):
                    self.heading = first_line(source).lstrip("# ")
            yield ParsedPage(f"cell {number}", f"{text}\n\n" if text.strip() else "")

    def _output(self, outputs: list[Any]) -> str:
        pieces: list[str] = []
        room = MAX_OUTPUT_CHARS
        was_cut = False
        for output in map(_dictionary, outputs):
            text = _shown(output)
            if not text.strip():
                self.n_pictures += output.get("output_type") in ("display_data", "execute_result", "pyout")
                continue
            kept = sanitise(text[: 2 * MAX_OUTPUT_CHARS]).text.rstrip()  # colours take room, then are gone
            was_cut = was_cut or len(text) > 2 * MAX_OUTPUT_CHARS or len(kept) > room
            if kept := kept[:room]:
                pieces.append(kept)
                room -= len(kept)
        self.n_cut += was_cut
        return "\n".join(pieces) + ("\n… (cut)" if was_cut else "")


def _shown(output: dict[str, Any]) -> str:
    """What an output shows as plain text; of an error its name and message, without the traceback."""
    if output.get("output_type") in ("error", "pyerr"):
        return f"{_text(output.get('ename'))}: {_text(output.get('evalue'))}"
    data = _dictionary(output.get("data"))
    for kind in ("text/markdown", "text/plain"):
        if text := _text(data.get(kind)):
            # The plain form of a picture is the name of its object.
            is_name = kind == "text/plain" and text.startswith("<") and text.rstrip().endswith(">")
            return "" if is_name and any(key.startswith("image/") for key in data) else text
    return _text(output.get("text"))


def _text(value: object) -> str:
    """A string, or lines of one; "" for anything else."""
    if isinstance(value, str):
        return value
    return "".join(part for part in value if isinstance(part, str)) if isinstance(value, list) else ""


def _dictionary(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
