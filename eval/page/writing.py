"""The three files of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import orjson

from eval.page.html import page_html
from eval.page.model import Page
from eval.page.storing import store
from eval.page.summary import page_markdown

SCHEMA = 1
HTML, JSON, MARKDOWN = "report.html", "report.json", "SUMMARY.md"

_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def write_report(directory: Path, page: Page, data: Mapping[str, Any]) -> Path:
    """Write `report.html`, `report.json` and `SUMMARY.md` into `directory`; returns the HTML file.

    The JSON holds `data`, which is what was measured, and everything that the page shows.  Each file is
    replaced at once, the HTML last.  Numbers in `data` that are not finite become null.

    Raises:
        StorageError: the file system refuses.
        TypeError: `data` holds something that JSON and NumPy do not know.
    """
    document = {"schema": SCHEMA, "data": dict(data), "page": asdict(page)}
    contents = {
        JSON: orjson.dumps(_whole(document), option=_OPTIONS) + b"\n",
        MARKDOWN: page_markdown(page, HTML, JSON).encode(),
        HTML: page_html(page).encode(),
    }
    for name, content in contents.items():
        store(directory / name, content)
    return directory / HTML


def _whole(value: Any) -> Any:
    """`value` without lone surrogates, as in undecodable file names: JSON in UTF-8 cannot hold them."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if is_dataclass(value) and not isinstance(value, type):
        return _whole(asdict(value))
    if isinstance(value, Mapping):
        return {_whole(key): _whole(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(one) for one in value]
    return value
