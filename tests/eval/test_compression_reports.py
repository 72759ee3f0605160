"""Verdicts, tables and plots of made-up rows."""

from __future__ import annotations

import math
from pathlib import Path

import orjson
import pytest
from compression_rows import CASE, measured, row

from eval.compression.arms import LITERATURE
from eval.compression.page import page
from eval.compression.plot import figure, sides_figure, text_plot
from eval.compression.tables import arm_notes, length_table, row_line, sections, table
from eval.compression.verdict import MAX_KLD, Status, verdict, write_verdicts
from eval.page import Table
from eval.page.html import page_html


@pytest.mark.parametrize(
    ("values", "status", "word"),
    [
        ({}, "ok", "0.0050"),
        ({"kld": 0.007, "interval": (0.006, 0.008)}, "warn", "around 0.0065"),
        ({"kld": 0.007, "interval": (0.0066, 0.008)}, "fail", "above 0.0065"),
        ({"top1": 0.94, "top1_interval": (0.92, 0.955)}, "warn", "around 95%"),
        ({"top1": 0.93, "top1_interval": (0.91, 0.949)}, "fail", "below 95%"),
        ({"n": 100}, "warn", "too few"),
        ({"n": 100, "kld": 4.9, "interval": (4.0, 5.0)}, "fail", "4.9000"),
        ({"kld": math.nan, "interval": (math.nan, math.nan)}, "warn", "around"),
    ],
)
def test_a_codec_is_judged_by_its_intervals(values: dict[str, object], status: Status, word: str) -> None:
    (found,) = verdict([row(**values)])  # type: ignore[arg-type]  # keyword arguments of several types
    assert (found.codec, found.status) == ("k4v4", status)
    assert word in found.reason


def test_the_worst_of_lengths_and_modes_counts_and_arms_are_not_judged() -> None:
    bad = {"kld": 0.02, "interval": (0.01, 0.03)}
    rows = [
        row("k4v4"),
        row("k8v8"),
        row("k4v4", context_tokens=16384, **bad),  # type: ignore[arg-type]  # as above
        row("k4v4", mode="answer"),
        row("KIVI", family="literature"),
        row("k4, V exact", family="one side"),
    ]
    found = {one.codec: one for one in verdict(rows)}
    assert {name: one.status for name, one in found.items()} == {"k4v4": "fail", "k8v8": "ok"}
    assert "16384" in found["k4v4"].reason


def test_verdicts_are_stored_with_their_limits(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.json"
    write_verdicts(path, "model", "a" * 64, [row()])
    found = orjson.loads(path.read_bytes())
    assert found["limits"]["kld_mean"] == MAX_KLD
    assert found["findings"][0]["codec"] == "k4v4"
    assert found["findings"][0]["context_tokens"] == row().context_tokens
    assert found["model_sha256"] == "a" * 64
    assert list(tmp_path.iterdir()) == [path]


def test_tables_have_a_line_for_each_cache_and_a_section_for_each_kind() -> None:
    rows = [
        row("k4v4"),
        row("k3v3", kld=0.0175),
        row("k4v4", context_tokens=9000),
        row("k4v4", mode="answer"),
    ]
    assert table(rows[:2]).count("\n") == 3
    assert "17.50" in table(rows[:2])
    found = list(sections(rows))
    assert len(found) == 3
    assert "2560 tokens of context, along the text: 1000 tokens of 1 texts" in found[0]
    assert "answers" in found[2]
    by_length = length_table(rows).split("\n")
    assert by_length[0].split("|")[2:4] == [" 2560 tokens ", " 9000 tokens "]
    assert by_length[3].split("|")[2].strip() == "17.50"
    assert by_length[3].split("|")[3].strip() == ""
    assert length_table(rows[:2]) == ""


def test_every_method_in_the_table_is_cited_once() -> None:
    notes = arm_notes(LITERATURE)
    for paper in ("2402.02750", "2504.19874", "2502.02617"):
        assert notes.count(paper) == 1
    assert arm_notes(()) == ""


def test_progress_names_what_was_measured() -> None:
    line = row_line(measured())
    assert all(word in line for word in ("k4v4", "4.25", CASE.text, "of 16"))


def test_the_figure_holds_every_row_with_its_interval() -> None:
    rows = [
        row("k4v4", bits=4.1),
        row("KIVI 4 bits", bits=4.5, family="literature", kld=0.1, interval=(0.05, 0.2)),
        row("k8v8", bits=8.1),
        row("exact", bits=16.0, kld=0.0, interval=(0.0, 0.0)),
        row("archive", bits=0.7),
        row("archive@1.5", bits=0.8),
        row("q8_0", bits=8.5, family="llama.cpp"),
        row("codec k4v4, last 128 exact", family="literature"),
        row("k4, V exact", family="one side"),
    ]
    found = figure(rows, command="python -m eval.fidelity")
    assert found.y.log
    assert {series.name: [point.label for point in series.points] for series in found.series} == {
        "beyondrag's rotated codec": ["k4v4", "k8v8"],
        "KIVI": ["KIVI 4 bits"],
        "f16 as it is": ["exact"],
        "beyondrag's archive codec": ["archive", "archive@1.5"],
        "llama.cpp's caches": ["q8_0"],
        "beyondrag's codec, changed": ["codec k4v4, last 128 exact"],
    }
    assert [series.name for series in found.series if series.joined] == [
        "beyondrag's rotated codec",
        "beyondrag's archive codec",
    ]
    point = found.series[1].points[0]
    assert (point.x, point.y.value, point.y.interval) == (4.5, 0.1, (0.05, 0.2))
    assert found.basis.n == 1000
    with pytest.raises(ValueError, match="one figure"):
        figure([*rows, row(context_tokens=1)], command="")


def test_k_and_v_alone_stand_by_the_bits_of_their_codes() -> None:
    rows = [
        row("k4v4"),
        row("k8, V exact", family="one side", kld=0.001),
        row("k3, V exact", family="one side", kld=0.02),
        row("v3, K exact", family="one side", kld=0.01),
    ]
    found = sides_figure(rows, command="")
    assert found is not None
    assert {s.name: [(p.x, p.y.value) for p in s.points] for s in found.series} == {
        "only K coded": [(8, 0.001), (3, 0.02)],
        "only V coded": [(3, 0.01)],
    }
    assert sides_figure(rows[:1], command="") is None


def test_the_report_answers_first_and_shows_every_row() -> None:
    rows = [row("k4v4"), row("k3v3", kld=0.02, interval=(0.01, 0.03)), row("k4, V exact", family="one side")]
    rows += [row("k4v4", mode="answer"), row("k4v4", kld=0.008, context_tokens=9000)]
    found = page(rows, LITERATURE, model="a model", command="python -m eval.fidelity")
    assert "`k4v4`" in found.summary.answer
    assert "`k3v3`" in found.summary.answer
    cards = {finding.subject: finding.estimate for finding in found.summary.findings}
    assert cards["k4v4"] is not None
    assert cards["k4v4"].value == 0.008  # the worst of its lengths
    assert len(cards) == 2
    tables = [block for block in found.blocks() if isinstance(block, Table)]
    named = [(table.caption, value[0]) for table in tables for value in table.rows]
    assert len([name for caption, name in named if caption.startswith("Every cache")]) == len(rows)
    assert any(caption.startswith("Verdicts") for caption, _ in named)
    assert "python -m eval.fidelity" in page_html(found)


def test_the_text_plot_puts_points_where_they_belong() -> None:
    rows = [
        row("left and low", bits=4, kld=0.001),
        row("right and high", bits=16, kld=1.0),
        row("nothing", bits=16, kld=0.0),
        row("the same", bits=16, kld=1.0),
    ]
    lines = text_plot(rows).split("\n")
    canvas = {i: line[8:] for i, line in enumerate(lines) if line[7:8] == "|"}
    assert canvas[0].index("*") == 64  # 16 of 16 bits, the top decade, two rows
    assert canvas[18].index("a") == 16  # 4 of 16 bits, three decades below
    assert lines[0].startswith(" 1e+00 |")
    assert lines[18].startswith(" 1e-03 |")
    assert any("nothing: no divergence at all" in line for line in lines)
    assert text_plot([]) == ""
