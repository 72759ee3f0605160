"""The files of a report: well-formed, self-contained, and proof against the text in them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import page_demo
import pytest

from eval.page import (
    Basis,
    Command,
    Commands,
    Estimate,
    Example,
    Examples,
    Page,
    Passage,
    Quantity,
    Reply,
    Section,
    Summary,
    Table,
    this_machine,
    write_figure,
    write_report,
)
from eval.page.html import page_html
from eval.page.summary import page_markdown
from eval.page.text import MAX_PASSAGE_CHARS, marked, spans, visible
from kvfiles.errors import StorageError

BASIS = Basis(3, "things", "", "")


def parsed(html: str) -> ET.Element:
    """The page as a tree; it is written so that XML parsers read it too, which finds any open element."""
    assert html.startswith("<!DOCTYPE html>")
    return ET.fromstring(html.removeprefix("<!DOCTYPE html>"))


@pytest.fixture(scope="module")
def html() -> str:
    return page_html(page_demo.page())


@pytest.fixture(scope="module")
def tree(html: str) -> ET.Element:
    return parsed(html)


def test_ids_are_unique_and_references_within_the_page_lead_somewhere(tree: ET.Element) -> None:
    ids = [node.attrib["id"] for node in tree.iter() if "id" in node.attrib]
    assert len(ids) == len(set(ids))
    wanted = {node.attrib["href"].removeprefix("#") for node in tree.iter("a")}
    wanted |= {
        node.attrib[name] for node in tree.iter("svg") for name in ("aria-labelledby", "aria-describedby")
    }
    assert wanted <= set(ids)


def test_nothing_outside_of_the_file_is_referred_to(html: str, tree: ET.Element) -> None:
    for node in tree.iter():
        assert node.tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "image", "use"}
        for name, value in node.attrib.items():
            assert name not in {"src", "srcset", "style", "action", "data"}
            assert not name.startswith("on")
            assert name != "href" or value.startswith("#")
    style = tree.find("head/style")
    assert style is not None
    assert style.text
    assert "url(" not in style.text
    assert "@import" not in style.text
    assert "http" not in html.replace("http-equiv", "")


def test_the_policy_allows_the_one_script_and_the_one_style_by_their_hashes(tree: ET.Element) -> None:
    meta = next(m for m in tree.iter("meta") if m.get("http-equiv") == "Content-Security-Policy")
    policy = dict(rule.split(" ", 1) for rule in meta.attrib["content"].split("; "))
    assert policy["default-src"] == "'none'"
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (node,) = tree.iter(tag)
        digest = base64.b64encode(hashlib.sha256((node.text or "").encode()).digest()).decode()
        assert policy[rule] == f"'sha256-{digest}'"


def test_hostile_text_is_shown_and_does_nothing(html: str, tree: ET.Element) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    assert len(list(tree.iter("script"))) == 1
    heading = next(h for h in tree.iter("h4") if "alert" in "".join(h.itertext()))
    assert heading.text == visible(page_demo.HOSTILE)
    assert "\\x1b[31m\\u202eevil\\u2066\\x00\\ud800{{ 7*7 }}" in (heading.text or "")


def test_every_string_of_a_page_is_escaped_wherever_it_stands() -> None:
    bad = "<b>&\"'\u202e\x07"
    quantity = Quantity(bad, unit=bad)
    basis = Basis(1, bad, bad, bad)
    table = Table(bad, (bad, quantity), ((bad, Estimate(1)),), basis, bad)
    reply = Reply(bad, bad, "right", (Passage(bad, bad),), (bad,))
    examples = Examples(bad, (Example(bad, (bad,), (reply,), bad),), 1, 1, bad)
    section = Section(bad, (bad,), (table, examples, Commands(bad, (Command(bad, bad),))))
    html = page_html(Page(bad, Summary(bad, (), (bad,)), (section,), measured=bad))
    tree = parsed(html)
    assert bad[:5] not in html
    assert "<b><b>" not in html
    assert not {"\u202e", "\x07"} & set(html)
    assert {node.text for node in tree.iter("b")} == {visible(bad)}  # the name of the system alone


def test_tables_say_what_they_are_of_and_what_they_sort_by(tree: ET.Element) -> None:
    table = next(t for t in tree.iter("table") if t.findtext("caption") == "All questions")
    assert "data-sortable" in table.attrib
    heads = table.findall("thead/tr/th")
    assert [h.get("data-kind") for h in heads] == ["text", "number", "number", "number"]
    keys = [[cell.get("data-sort") for cell in row] for row in table.findall("tbody/tr")]
    assert [row[0] for row in keys] == list(page_demo.SYSTEMS)
    assert [float(row[1] or "nan") for row in keys] == [0.71, 0.74, 0.5, 0.48, 0.21]
    assert keys[4][2] == ""  # not measured: nothing to sort by
    cell = table.findall("tbody/tr")[0][1]
    assert cell.text == "71.0"
    assert cell.findtext("small") == "61.2 to 80.8 · n 83"


def test_every_figure_and_table_states_sample_interval_and_command(tree: ET.Element) -> None:
    figures = list(tree.iter("figure"))
    assert len(figures) == 4
    for figure in figures:
        basis = next(p for p in figure.iter("p") if p.get("class") == "basis")
        words = "".join(basis.itertext())
        assert re.match(r"\s*n = [\d,]+ .+; intervals: 95 %", words)
        assert "beyondrag eval" in words
        assert figure.find("details//table") is not None


def test_examples_show_the_texts_with_the_quotes_marked_and_say_what_is_left_out(tree: ET.Element) -> None:
    assert next(m.text for m in tree.iter("mark")) == "In 1934 it moved to the harbour"
    texts = ["".join(pre.itertext()) for pre in tree.iter("pre")]
    assert "The workshop was founded in 1911.\n\nIn 1934" in texts[0]
    assert max(map(len, texts)) == MAX_PASSAGE_CHARS
    assert any("6,000 more characters" in "".join(p.itertext()) for p in tree.iter("p"))
    outcomes = [s.text for s in tree.iter("span") if s.get("class") == "outcome"]
    assert outcomes == ["✓ right", "✗ wrong", "○ withheld", "✗ wrong"]


def test_the_report_is_three_files_that_hold_all_that_was_measured(tmp_path: Path) -> None:
    data = {
        "share": np.float64(0.5),
        "missing": float("nan"),
        "array": np.arange(3),
        "name": "a\ud800b",
        "estimate": Estimate(0.5, 0.4, 0.6, 7),
    }
    path = write_report(tmp_path / "new" / "report", page_demo.page(), data)
    assert path == tmp_path / "new" / "report" / "report.html"
    assert sorted(file.name for file in path.parent.iterdir()) == ["SUMMARY.md", "report.html", "report.json"]
    written = json.loads((path.parent / "report.json").read_text(encoding="utf-8"))
    assert written["data"] == {
        "share": 0.5,
        "missing": None,
        "array": [0, 1, 2],
        "name": "a?b",
        "estimate": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 7},
    }
    assert written["page"]["sections"][0]["blocks"][0]["rows"][0][1]["value"] == 0.71
    parsed(path.read_text(encoding="utf-8"))


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = write_report(tmp_path, page_demo.page(), {})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_report(tmp_path, page_demo.page(), {"bad": object()})
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="name another one") as caught:
        write_report(tmp_path / "file", page_demo.page(), {})
    assert "--library" not in str(caught.value)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 4


def test_a_figure_can_stand_alone(tmp_path: Path) -> None:
    path = tmp_path / "figure.svg"
    write_figure(path, page_demo.scatter())
    root = ET.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert float(root.attrib["width"]) > 0
    style = root.findtext("{http://www.w3.org/2000/svg}style") or ""
    assert "prefers-color-scheme: dark" in style


def test_the_summary_has_the_answer_its_numbers_and_the_marked_table() -> None:
    text = page_markdown(page_demo.page(), "report.html", "report.json")
    lines = text.splitlines()
    assert lines[0] == "# Whole documents against chunks: made-up numbers"
    assert "**71 %**" in lines[2]
    assert "- **doc**, Right answers: 71.0 % (61.2 to 80.8, n 83). 21 points more than `chunk-bm25`" in lines
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 7  # head, rule, five systems
    assert "    beyondrag eval fidelity --seed 7" in lines
    assert "alert" not in text  # examples are not part of it


def test_the_summary_escapes_markup() -> None:
    page = Page("a|b <i>*x*</i>\n# no", Summary("`code` and <script>"), ())
    text = page_markdown(page, "h", "j")
    assert text.startswith("# a\\|b \\<i\\>\\*x\\*\\</i\\> \\# no\n\n`code` and \\<script\\>\n")


def test_rows_that_do_not_fit_are_refused() -> None:
    quantity = Quantity("x")
    for rows in ((("a",),), ((1.0, 2.0),), (("a", "b"),), (("a", float("nan")),)):
        with pytest.raises(ValueError, match="caption"):
            Table("caption", ("words", quantity), rows, BASIS)
    with pytest.raises(ValueError, match="5 of 3"):
        Examples("title", (), 5, 3, "")


def test_the_machine_is_described_without_paths_or_names() -> None:
    facts = dict(this_machine({"Threads": "2"}).facts)
    assert {"Date", "Processor", "Cores", "Memory", "System", "Python", "llama-cpp-python", "Threads"} <= set(
        facts
    )
    assert all(facts.values())
    assert str(Path.home()) not in " ".join(facts.values())


def test_marks_and_prose_keep_every_character() -> None:
    text = "one two one three"
    found = marked(text, ("two", "one two", "", "three", "absent"))
    assert "".join(span.text for span in found) == text
    assert [span.text for span in found if span.kind == "mark"] == ["two", "three"]
    runs = [(span.text, span.kind) for span in spans("a `b*` **c** d`")]
    assert runs == [("a ", "plain"), ("b*", "code"), (" ", "plain"), ("c", "strong"), (" d`", "plain")]
    assert spans("") == ()
    assert marked("", ("x",)) == ()
