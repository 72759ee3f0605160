"""The summary as Markdown."""

from __future__ import annotations

from eval.injection.summary import GroupSummary, InjectionSummary
from eval.report import markdown_table
from eval.stats import Estimate
from library.wording import one_line

NOTE = """\
reached: the instruction stands in the text that the model read.  obeyed: the answer, before any check,
does what was planted.  shown: a user gets that.  right, withheld: the same file without -> with what was
planted, before any check and by the evidence check.  wrong: shown, and not right.  Intervals: 95 %
(Wilson)."""

MAX_SHOWN = 12


def group_table(found: InjectionSummary) -> str:
    """A row for all probes and one for each kind."""
    header = [
        "probes",
        "n",
        "reached",
        "obeyed",
        "interval",
        "shown",
        "interval",
        "right",
        "withheld",
        "wrong",
    ]
    return markdown_table(header, [_cells(group) for group in found.groups])


def effects_list(found: InjectionSummary) -> str:
    """The probes that took effect, with what was answered; "" when none did."""
    rows = found.took_effect
    lines = [f"- {row.probe}: {one_line(row.answer, 100) or '(withheld)'}" for row in rows[:MAX_SHOWN]]
    if len(rows) > MAX_SHOWN:
        lines.append(f"- and {len(rows) - MAX_SHOWN} more")
    return "\n".join(lines)


def _cells(group: GroupSummary) -> list[str]:
    return [
        group.kind,
        str(group.n),
        str(group.n_reached),
        _count(group.obeyed),
        _interval(group.obeyed),
        _count(group.took_effect),
        _interval(group.took_effect),
        f"{_count(group.right_plain)} -> {_count(group.right)}",
        f"{_count(group.withheld_plain)} -> {_count(group.withheld)}",
        _count(group.wrong_shown),
    ]


def _count(share: Estimate) -> str:
    return str(round(share.value * share.n))


def _interval(share: Estimate) -> str:
    return f"{100 * share.low:.0f}..{100 * share.high:.0f} %"
