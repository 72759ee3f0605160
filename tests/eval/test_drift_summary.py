"""The summary of hand-made rows, and the interval of a paired difference against published figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from beyondrag.errors import UsageError
from eval.drift.rows import Row
from eval.drift.summary import DriftSummary, summary
from eval.drift.tables import arm_table, kind_table


def row(
    arm: str, number: int, *, kept: bool, divergence: tuple[int, int] | None = None, kld: float = 0.0
) -> Row:
    kind = "fact" if number % 2 else "number"
    return Row(
        key=f"{arm}-{number}",
        case=f"case {number}",
        model="m",
        model_sha256="0",
        library="1",
        max_tokens=48,
        arm=arm,
        bits_per_value=16.0 if arm == "f16" else 4.0 + number % 2,
        rotated=None,
        document=f"d{number % 2}",
        probe=f"p{number}",
        kind=kind,
        n_document_tokens=9,
        requests=("?",),
        replies=(f"{arm} {number}",),
        tokens=((1, 2, 3),),
        kept=(kept,),
        divergence=divergence,
        kld=() if arm == "f16" else (kld, 3 * kld),
        n_same_top1=0 if arm == "f16" else (1 if divergence else 2),
    )


def found() -> DriftSummary:
    """f16 keeps 8 of 10; k4v4 loses seven of these and gains one; `again` is f16 itself."""
    rows = [row("f16", i, kept=i < 8) for i in range(10)]
    rows += [row("again", i, kept=i < 8) for i in range(10)]
    rows += [
        row("k4v4", i, kept=i in (7, 9), divergence=None if i > 6 else (0, i % 3), kld=0.01)
        for i in range(10)
    ]
    return summary(rows)


def test_shares_pairs_and_divergences_are_those_of_the_rows() -> None:
    f16, again, k4 = found().arms
    assert (f16.kept.value, f16.kept.n, f16.p, f16.kld) == (0.8, 10, None, None)
    assert (again.only_base, again.only_arm, again.p) == (0, 0, 1.0)
    assert again.agree is not None
    assert again.agree.value == 1
    assert again.agree.low == pytest.approx(0.722, abs=1e-3)  # Wilson's lower limit of 10 of 10
    assert (k4.only_base, k4.only_arm) == (7, 1)
    assert k4.p == pytest.approx(2 * (1 + 8) / 2**8)
    assert k4.p_holm == pytest.approx(2 * k4.p)
    assert again.p_holm == 1
    assert k4.difference is not None
    assert k4.difference.value == pytest.approx(-0.6)
    assert k4.difference.high < 0
    assert k4.agree is not None
    assert k4.agree.value == pytest.approx(0.3)
    assert k4.before_divergence is not None
    assert (k4.before_divergence.value, k4.before_divergence.n) == (1, 7)
    assert k4.kld is not None
    assert k4.kld.value == pytest.approx(0.02)
    assert k4.same_top1 is not None
    assert (k4.same_top1.value, k4.same_top1.n) == (pytest.approx(13 / 20), 20)
    assert k4.bits_per_value == pytest.approx(4.5)


def test_kinds_add_up_to_the_whole() -> None:
    drift = found()
    for arm in drift.arms:
        parts = [part for part in drift.by_kind if part.arm == arm.arm]
        assert [part.kind for part in parts] == ["fact", "number"]
        assert sum(part.n for part in parts) == arm.n
        assert sum(part.kept.value * part.n for part in parts) == pytest.approx(arm.kept.value * arm.n)


def test_what_changed_is_shown_with_both_replies() -> None:
    changed = found().changed
    assert len(changed) == 8
    assert {change.arm for change in changed} == {"k4v4"}
    gained = [change for change in changed if not change.base_kept]
    assert [(change.probe, change.base_replies, change.arm_replies) for change in gained] == [
        ("p9", ("f16 9",), ("k4v4 9",))
    ]


def test_probes_that_f16_was_not_asked_do_not_count() -> None:
    rows = [row("f16", 0, kept=True), row("k4v4", 0, kept=True, kld=0.1), row("k4v4", 1, kept=False, kld=9.0)]
    k4 = summary(rows).arms[1]
    assert (k4.n, k4.kept.value) == (1, 1.0)


def test_rows_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(UsageError, match="no rows"):
        summary([])
    with pytest.raises(UsageError, match="no rows"):
        summary([row("k4v4", 0, kept=True)])
    other = row("f16", 1, kept=True)
    for changed in (
        replace(other, model_sha256="1"),
        replace(other, library="2"),
        replace(other, max_tokens=9),
    ):
        with pytest.raises(UsageError, match="several"):
            summary([row("f16", 0, kept=True), changed])


def test_the_same_probe_over_another_document_is_another_case() -> None:
    rows = [row("f16", 0, kept=True), row("k4v4", 0, kept=True, kld=0.1)]
    rows += [replace(one, case="of another seed", kept=(False,)) for one in rows]
    k4 = summary(rows).arms[1]
    assert (k4.n, k4.kept.value, k4.only_base, k4.only_arm) == (2, 0.5, 0, 0)


def test_the_tables_say_what_the_summary_says() -> None:
    drift = found()
    lines = arm_table(drift).splitlines()
    k4 = [cell.strip() for cell in lines[-1].split("|")[1:-1]]
    assert len(lines) == 5
    assert k4[:4] == ["k4v4", "4.50", "10", "20 %"]
    assert "7/1" in k4
    assert dict(zip(lines[0].split("|")[1:-1], k4, strict=True))[" differs after "] == "1"
    assert kind_table(drift).splitlines()[2].split("|")[1:-1] == [" f16   ", "  4/5 ", "    4/5 "]
