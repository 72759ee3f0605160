"""The page as one HTML file: nothing is fetched, and only the one script and style sheet in it may act.

Every string goes through `visible` and then through the template engine's escaping, at one place for
all of the template: `finalize` and `autoescape`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from eval.page.drawing import NARROW, WIDE, draw
from eval.page.drawing.describe import numbers
from eval.page.figures import Figure
from eval.page.model import Block, Commands, Example, Examples, Machine, Page, Reply, Table, Value
from eval.page.quantities import MISSING, Estimate, Quantity
from eval.page.text import MAX_ANSWER_CHARS, MAX_PASSAGE_CHARS, marked, shortened, spans, visible

_OUTCOMES = {"right": "✓ right", "wrong": "✗ wrong", "abstained": "○ withheld"}


def page_html(page: Page) -> str:
    """The whole file."""
    style, script = asset("style.css"), asset("sort.js")
    names = page.names
    return _template().render(
        page=page,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        policy=content_policy(style, script),
        sections=[
            {
                "id": f"section-{i}",
                "heading": section.heading,
                "paragraphs": section.paragraphs,
                "blocks": [
                    _block(block, f"figure-{i}-{j}", names) for j, block in enumerate(section.blocks, 1)
                ],
            }
            for i, section in enumerate(page.sections, 1)
        ],
    )


def content_policy(style: str, script: str) -> str:
    """The Content-Security-Policy: nothing but this style sheet and this script, each by its hash."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_digest(style)}'",
            f"script-src '{_digest(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def asset(name: str) -> str:
    """The text of a file that belongs to the page."""
    return resources.files("eval.page").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["spans"] = spans
    return environment.from_string(asset("page.html.j2"))


def _block(block: Block, ident: str, names: Sequence[str]) -> Mapping[str, Any]:
    """What the template needs to know of a block; `kind` says which of its parts shows it."""
    if isinstance(block, Table):
        return {"kind": "table", "table": _table(block)}
    if isinstance(block, Examples):
        return {"kind": "examples", "examples": block, "items": [_example(one) for one in block.examples]}
    if isinstance(block, Commands):
        return {"kind": "commands", "commands": block}
    if isinstance(block, Machine):
        return {"kind": "machine", "machine": block}
    return {
        "kind": "figure",
        "figure": block,
        "ident": ident,
        "wide": _svg(block, WIDE, names, f"{ident}-wide"),
        "narrow": _svg(block, NARROW, names, f"{ident}-narrow"),
        "table": _table(numbers(block)),
    }


def _svg(figure: Figure, width: int, names: Sequence[str], ident: str) -> Markup:
    return Markup(draw(figure, width, names).markup(ident))  # noqa: S704 - escaped by the XML writer


def _table(table: Table) -> Mapping[str, Any]:
    return {
        "caption": table.caption,
        "note": table.note,
        "basis": table.basis,
        "columns": [_column(column) for column in table.columns],
        "rows": [
            [_cell(column, value) for column, value in zip(table.columns, row, strict=True)]
            for row in table.rows
        ],
    }


def _column(column: str | Quantity) -> Mapping[str, str]:
    if isinstance(column, str):
        return {"kind": "text", "title": column, "better": ""}
    return {"kind": "number", "title": column.title, "better": column.better}


def _cell(column: str | Quantity, value: Value) -> Mapping[str, Any]:
    """What a cell shows and what it sorts by; missing values have nothing to sort by and come last."""
    if isinstance(column, str):
        return {"kind": "text", "sort": str(value or "").casefold(), "text": value or MISSING, "below": ""}
    if value is None or isinstance(value, str):
        return {"kind": "number", "sort": "", "text": MISSING, "below": ""}
    estimate = value if isinstance(value, Estimate) else Estimate(value)
    size = "" if estimate.n is None else f"n {estimate.n}"
    below = " · ".join(filter(None, (column.interval(estimate), size)))
    return {
        "kind": "number",
        "sort": repr(float(estimate.value)),
        "text": column.number(estimate.value),
        "below": below,
    }


def _example(example: Example) -> Mapping[str, Any]:
    return {
        "question": shortened(example.question, MAX_ANSWER_CHARS)[0],
        "expected": [shortened(answer, MAX_ANSWER_CHARS)[0] for answer in example.expected],
        "kind": example.kind,
        "replies": [_reply(reply) for reply in example.replies],
    }


def _reply(reply: Reply) -> Mapping[str, Any]:
    """A reply with its texts cut to what a page can hold and its quotes marked."""
    given = []
    for passage in reply.given or ():
        text, left_out = shortened(passage.text, MAX_PASSAGE_CHARS)
        given.append({"title": passage.title, "spans": marked(text, reply.quotes), "left_out": left_out})
    answer, left_out = shortened(reply.answer, MAX_ANSWER_CHARS)
    return {
        "system": reply.system,
        "answer": answer + ("…" if left_out else ""),
        "outcome": reply.outcome,
        "words": _OUTCOMES[reply.outcome],
        "given": given,
        "tells": reply.given is not None,
        "n_chars": sum(passage.n_chars or len(passage.text) for passage in reply.given or ()),
    }
