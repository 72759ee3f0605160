"""The page in short, as Markdown: the answer, the numbers behind it, the tables marked for it."""

from __future__ import annotations

from eval.page.model import Commands, Machine, Page, Table, Value
from eval.page.quantities import MISSING, Estimate, Quantity
from eval.page.text import markdown_prose, markdown_text, visible
from eval.report import markdown_table


def page_markdown(page: Page, html_name: str, json_name: str) -> str:
    """The summary; `html_name` and `json_name` are the files beside it."""
    parts = [f"# {markdown_text(page.title)}", *map(markdown_prose, page.summary.answer.split("\n\n"))]
    findings = [
        f"- **{markdown_text(one.subject)}**, {markdown_text(one.quantity.label)}: "
        f"{markdown_text(one.quantity.sentence(one.estimate))}"
        + (f". {markdown_prose(one.remark)}" if one.remark else "")
        for one in page.summary.findings
    ]
    parts += ["\n".join(findings)] if findings else []
    for block in page.blocks():
        if isinstance(block, Table) and block.in_summary:
            parts += [
                f"**{markdown_text(block.caption)}**",
                _table(block),
                markdown_text(block.basis.sentence),
            ]
    if page.summary.limits:
        limits = "\n".join(f"- {markdown_prose(limit)}" for limit in page.summary.limits)
        parts.append(f"What this does not show:\n\n{limits}")
    commands = [c.line for block in page.blocks() if isinstance(block, Commands) for c in block.commands]
    if commands:
        lines = "\n".join(f"    {' '.join(visible(line).split())}" for line in commands)
        parts.append(f"To reproduce:\n\n{lines}")
    facts = [f"{k} {v}" for block in page.blocks() if isinstance(block, Machine) for k, v in block.facts]
    if facts:
        parts.append(f"Measured with: {markdown_text('; '.join(facts))}.")
    parts.append(
        f"Figures and examples: [{html_name}]({html_name}). All numbers: [{json_name}]({json_name})."
    )
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    header = [markdown_text(column if isinstance(column, str) else column.title) for column in table.columns]
    left = [i for i, column in enumerate(table.columns) if isinstance(column, str)]
    rows = [[_cell(c, value) for c, value in zip(table.columns, row, strict=True)] for row in table.rows]
    return markdown_table(header, rows, left=left)


def _cell(column: str | Quantity, value: Value) -> str:
    if value is None:
        return MISSING
    if isinstance(column, str) or isinstance(value, str):
        return markdown_text(str(value))
    estimate = value if isinstance(value, Estimate) else Estimate(value)
    interval = column.interval(estimate)
    return column.number(estimate.value) + (f" ({interval})" if interval else "")
