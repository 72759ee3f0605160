"""The summary as Markdown."""

from __future__ import annotations

import math

from eval.drift.probes import KINDS
from eval.drift.summary import ArmSummary, DriftSummary
from eval.report import markdown_table
from eval.stats import Estimate

NOTE = """\
kept: every constraint of the probe held.  lost/gained: probes kept only behind f16, and only behind this
cache; difference: of the shares kept, in points.  p: exact McNemar test against f16, adjusted for the
number of caches (Holm).  same reply: the whole conversation, token for token.  differs after: median of
the reply tokens before the first difference.  KLD: along f16's replies.  All intervals are 95 %.  Behind
a codec only the document is coded and the conversation goes on in f16; llama.cpp's caches hold both.
`f16 again` reads the document in other batches: it shows what rounding alone changes."""


def arm_table(found: DriftSummary) -> str:
    """A row for each cache over all probes; divergences in thousandths of a nat."""
    header = [
        "cache",
        "bits/value",
        "n",
        "kept",
        "interval",
        "lost/gained",
        "difference",
        "p",
        "same reply",
        "interval",
        "differs after",
        "KLD x1000",
        "interval",
        "same top-1",
    ]
    return markdown_table(header, [_cells(arm) for arm in found.arms])


def kind_table(found: DriftSummary) -> str:
    """Probes kept of probes asked, for each cache and kind."""
    kinds = [kind for kind in KINDS if any(arm.kind == kind for arm in found.by_kind)]
    counts = {(arm.arm, arm.kind): f"{round(arm.kept.value * arm.n)}/{arm.n}" for arm in found.by_kind}
    cells = [[arm.arm, *(counts.get((arm.arm, kind), "") for kind in kinds)] for arm in found.arms]
    return markdown_table(["kept", *kinds], cells)


def _cells(arm: ArmSummary) -> list[str]:
    first = [arm.arm, f"{arm.bits_per_value:.2f}", str(arm.n), _percent(arm.kept), _percents(arm.kept)]
    if arm.agree is None or arm.kld is None or arm.before_divergence is None or arm.same_top1 is None:
        return [*first, *[""] * 9]
    after, kld = arm.before_divergence, arm.kld
    return [
        *first,
        f"{arm.only_base}/{arm.only_arm}",
        "" if arm.difference is None else _points(arm.difference),
        "" if arm.p_holm is None else f"{arm.p_holm:.3f}",
        _percent(arm.agree),
        _percents(arm.agree),
        "" if math.isnan(after.value) else f"{after.value:.0f}",
        f"{1e3 * kld.value:.2f}",
        f"{1e3 * kld.low:.2f}..{1e3 * kld.high:.2f}",
        _percent(arm.same_top1),
    ]


def _percent(share: Estimate) -> str:
    return f"{100 * share.value:.0f} %"


def _points(difference: Estimate) -> str:
    value, low, high = (100 * x for x in (difference.value, difference.low, difference.high))
    return f"{value:+.0f} ({low:+.0f}..{high:+.0f})"


def _percents(share: Estimate) -> str:
    return f"{100 * share.low:.0f}..{100 * share.high:.0f}"
