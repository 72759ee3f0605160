"""Tables of a report by number of gold documents and by threshold of the second reading."""

from __future__ import annotations

from collections.abc import Sequence

from beyondrag.verdict import MIN_LOG_ODDS
from eval.page import Quantity, Table, shown
from eval.qa.page_blocks import HALLUCINATED, RIGHT, Pool, basis
from eval.qa.strata import at_thresholds, by_gold

_WILSON = "95 % Wilson"


def gold_table(pool: Pool, systems: Sequence[str]) -> Table | None:
    """Every system by number of gold documents; None where all questions need as many."""
    strata = by_gold(pool.results, systems)
    if not strata:
        return None
    rows = tuple(
        (one.group, one.system, shown(one.shown.accuracy), shown(one.shown.hallucination)) for one in strata
    )
    columns = ("Questions", "System", RIGHT, HALLUCINATED)
    return Table(f"{pool.name}: by number of gold documents", columns, rows, basis(pool))


def thresholds_table(pool: Pool, systems: Sequence[str]) -> Table | None:
    """What other thresholds would show; None where no answer was read a second time."""
    found = at_thresholds(pool.results, systems)
    if not found:
        return None
    rows = tuple(
        (
            one.system,
            "none" if one.threshold is None else f"{one.threshold:g}".replace("-", "−"),
            shown(one.right_shown),
            shown(one.wrong_shown),
            shown(one.null_withheld),
        )
        for one in found
    )
    columns = (
        "System",
        "Threshold",
        Quantity("Answerable, right and shown", percent=True, digits=0, better="higher"),
        Quantity("Answerable, wrong and shown", percent=True, digits=0, better="lower"),
        Quantity("Unanswerable, withheld", percent=True, digits=0, better="higher"),
    )
    note = (
        f"The threshold today is {MIN_LOG_ODDS:g}. None: answers without evidence are withheld, the others "
        "are not read again."
    )
    title = f"{pool.name}: by threshold of the second reading"
    return Table(title, columns, rows, basis(pool, _WILSON), note)
