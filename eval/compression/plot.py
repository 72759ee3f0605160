"""Rate against distortion: bits a value against mean divergence, as a figure for the report and as text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from eval.compression.rows import Family, Mode, Row
from eval.compression.verdict import MAX_KLD
from eval.page import Axis, Basis, Estimate, Point, Quantity, Reference, Scatter, Series
from kvfiles.codecs import ArchiveCodec, ExactCodec, label_of_name

INTERVALS = "95 % percentile bootstrap over tokens within texts"
_WIDTH, _HEIGHT = 64, 18
_MARKS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_SERIES: dict[Family, str] = {
    "codec": "beyondrag's rotated codec",
    "llama.cpp": "llama.cpp's caches",
    "noise floor": "noise floor",
}
_ARCHIVE = "beyondrag's archive codec"
_EXACT = "f16 as it is"
_JOINED = {_SERIES["codec"], _ARCHIVE}
_CHANGED = "beyondrag's codec, changed"
_ONE_SIDED = re.compile(r"([kv])(\d)")
_DIVERGENCE = Axis(Quantity("Mean divergence", "nats", digits=2, significant=True, better="lower"), log=True)


def figure(rows: Sequence[Row], *, command: str) -> Scatter:
    """Rows of one mode and length as a scatter; the points of each of our codecs are joined.

    Caches with one side exact are not in it: their bits a value say nothing (`sides_figure`).
    Raises ValueError for rows of several lengths or modes, or none.
    """
    mode, context_tokens = _kind(rows)
    series: dict[str, list[Row]] = {}
    for row in rows:
        if row.family != "one side":
            series.setdefault(_series(row), []).append(row)
    return Scatter(
        f"What a bit buys: {context_tokens:,} tokens of context, along the {mode}",
        Axis(Quantity("Bits a value", digits=2, significant=True), log=True),
        _DIVERGENCE,
        tuple(
            Series(
                name,
                tuple(_point(row, row.bits_per_value, row.name) for row in group),
                joined=name in _JOINED,
            )
            for name, group in series.items()
        ),
        _basis(rows[0], command),
        (Reference(MAX_KLD, "limit for a default codec"),),
        "Scales, means, norms and exact tokens are counted in the bits.",
    )


def sides_figure(rows: Sequence[Row], *, command: str) -> Scatter | None:
    """Only K coded against only V coded, by the bits of that side's codes; None without such rows.

    Raises ValueError for rows of several lengths or modes.
    """
    sides: dict[str, list[Point]] = {"only K coded": [], "only V coded": []}
    for row in rows:
        match = _ONE_SIDED.match(row.name) if row.family == "one side" else None
        if match:
            sides[f"only {match[1].upper()} coded"].append(_point(row, int(match[2])))
    if not any(sides.values()):
        return None
    mode, context_tokens = _kind(rows)
    return Scatter(
        f"K or V alone: {context_tokens:,} tokens of context, along the {mode}",
        Axis(Quantity("Bits of a code", digits=0)),
        _DIVERGENCE,
        tuple(Series(name, tuple(points), joined=True) for name, points in sides.items() if points),
        _basis(rows[0], command),
        (),
        "The other side is the f16 cache's own.",
    )


def _kind(rows: Sequence[Row]) -> tuple[Mode, int]:
    kinds = {(row.mode, row.context_tokens) for row in rows}
    if len(kinds) != 1:
        raise ValueError("one figure shows one mode and length")
    return kinds.pop()


def _series(row: Row) -> str:
    if row.family == "literature":
        method = row.name.split(" ", 1)[0]
        return _CHANGED if method == "codec" else method
    if row.family == "codec":
        return {ArchiveCodec.name: _ARCHIVE, ExactCodec.name: _EXACT}.get(
            label_of_name(row.name), _SERIES["codec"]
        )
    return _SERIES[row.family]


def _point(row: Row, x: float, label: str = "") -> Point:
    low, high = row.interval
    return Point(x, Estimate(row.summary.kld_mean, low, high, row.summary.n_tokens), label)


def _basis(row: Row, command: str) -> Basis:
    return Basis(row.summary.n_tokens, f"tokens of {len(row.texts)} texts", INTERVALS, command)


def text_plot(rows: Sequence[Row]) -> str:
    """Rows of one mode and length as characters: bits a value to the right, log mean divergence upwards.

    A mean of 0 has no place on the axis and is left out, which the legend says.
    """
    shown = [row for row in rows if row.summary.kld_mean > 0][: len(_MARKS)]
    if not shown:
        return ""
    heights = [math.log10(row.summary.kld_mean) for row in shown]
    bottom, top = math.floor(min(heights)), max(math.ceil(max(heights)), math.floor(min(heights)) + 1)
    right = max(math.ceil(max(row.bits_per_value for row in shown)), 1)
    canvas = [[" "] * (_WIDTH + 1) for _ in range(_HEIGHT + 1)]
    for mark, row, height in zip(_MARKS, shown, heights, strict=False):
        x = round(_WIDTH * row.bits_per_value / right)
        y = _HEIGHT - round(_HEIGHT * (height - bottom) / (top - bottom))
        canvas[y][x] = mark if canvas[y][x] == " " else "*"
    lines = []
    for i, line in enumerate(canvas):
        level = top - (top - bottom) * i / _HEIGHT
        is_decade = any(
            abs(level - decade) < 0.5 * (top - bottom) / _HEIGHT for decade in range(bottom, top + 1)
        )
        label = f"{10 ** round(level):.0e}" if is_decade else ""
        lines.append(f"{label:>6} |{''.join(line).rstrip()}")
    lines.append(f"{'':>6} +{'-' * _WIDTH}")
    lines.append(f"{'nats':>6}  0{'bits a value':^{_WIDTH - 4}}{right:>3}")
    legend = [
        f"  {mark}  {row.name} ({row.bits_per_value:.2f}, {row.summary.kld_mean:.2g})"
        for mark, row in zip(_MARKS, shown, strict=False)
    ]
    legend += [f"  -  {row.name}: no divergence at all" for row in rows if row.summary.kld_mean <= 0]
    return "\n".join([*lines, "  *  several", *legend])
