"""The example folder: sound questions, documents that agree with one another, PDFs that can be rebuilt."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pypdf import PdfReader

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DOCUMENTS = EXAMPLES / "documents"
SOURCES = EXAMPLES / "pdf_sources"
NAMES = sorted(path.name for path in DOCUMENTS.iterdir())
PDFS = [name for name in NAMES if name.endswith(".pdf")]
QUESTIONS: list[dict[str, Any]] = [
    json.loads(line) for line in (EXAMPLES / "questions.jsonl").read_text(encoding="utf-8").splitlines()
]
BY_ID = {question["id"]: question for question in QUESTIONS}


def page_texts(path: Path) -> list[str]:
    """The text of each page as pypdf reads it."""
    with path.open("rb") as file:
        return [page.extract_text() for page in PdfReader(file).pages]


@cache
def document_text(name: str) -> str:
    path = DOCUMENTS / name
    return "\n".join(page_texts(path)) if name.endswith(".pdf") else path.read_text(encoding="utf-8")


def folded(text: str) -> str:
    """Lower case, runs of white space as one blank."""
    return " ".join(text.lower().split())


def stands_in(answer: str, text: str) -> bool:
    """Verbatim up to case and white space, and not as a part of a longer word or number."""
    return re.search(rf"(?<!\w){re.escape(folded(answer))}(?!\w)(?![.,]\d)", folded(text)) is not None


def ids_of(*types: str) -> list[str]:
    return [question["id"] for question in QUESTIONS if question["type"] in types]


@pytest.fixture(scope="module")
def make_pdfs() -> Iterator[ModuleType]:
    """The script as a module; it is no part of an importable package."""
    pytest.importorskip("fpdf", reason="fpdf2 is not installed")
    spec = importlib.util.spec_from_file_location("examples_make_pdfs", EXAMPLES / "make_pdfs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


# The folder


def test_folder_holds_only_documents_of_the_three_kinds() -> None:
    kinds = Counter(Path(name).suffix for name in NAMES)
    assert set(kinds) == {".md", ".txt", ".pdf"}
    assert 8 <= len(NAMES) <= 10
    assert kinds[".pdf"] >= 2


@pytest.mark.parametrize("name", NAMES)
def test_length_of_documents(name: str) -> None:
    assert 600 <= len(document_text(name).split()) <= 3000


def test_lengths_vary() -> None:
    lengths = [len(document_text(name).split()) for name in NAMES]
    assert max(lengths) > 2 * min(lengths)


@pytest.mark.parametrize("name", NAMES)
def test_text_is_clean(name: str) -> None:
    text = document_text(name)
    assert not re.search(r"[^\n -~\u00a3]", text), "plain ASCII and the pound sign only"


# The questions


def test_ids_are_unique() -> None:
    assert len(BY_ID) == len(QUESTIONS)


def test_questions_are_not_repeated() -> None:
    assert len({folded(question["question"]) for question in QUESTIONS}) == len(QUESTIONS)


def test_enough_of_every_type() -> None:
    counts = Counter(question["type"] for question in QUESTIONS)
    assert set(counts) == {"single", "multi", "compare", "bridge", "null"}
    assert all(count >= 8 for count in counts.values()), counts


@pytest.mark.parametrize("question_id", list(BY_ID))
def test_form(question_id: str) -> None:
    question = BY_ID[question_id]
    assert list(question) == ["id", "question", "answers", "gold_docs", "type"]
    assert question["question"].rstrip().endswith("?")
    assert question["answers"]
    assert all(isinstance(answer, str) and 0 < len(answer.split()) <= 8 for answer in question["answers"])
    assert len(set(question["answers"])) == len(question["answers"])
    assert question["gold_docs"]
    assert set(question["gold_docs"]) <= set(NAMES)


@pytest.mark.parametrize("question_id", ids_of("single", "multi"))
def test_answer_stands_in_its_one_document(question_id: str) -> None:
    question = BY_ID[question_id]
    assert len(question["gold_docs"]) == 1
    assert stands_in(question["answers"][0], document_text(question["gold_docs"][0]))


@pytest.mark.parametrize("question_id", ids_of("compare", "bridge"))
def test_two_documents_are_needed(question_id: str) -> None:
    assert len(set(BY_ID[question_id]["gold_docs"])) == 2


@pytest.mark.parametrize("question_id", ids_of("bridge"))
def test_bridge_answer_stands_in_one_of_its_documents_or_is_a_count(question_id: str) -> None:
    question = BY_ID[question_id]
    answer = question["answers"][0]
    assert answer == "4" or any(stands_in(answer, document_text(name)) for name in question["gold_docs"])


@pytest.mark.parametrize("question_id", ids_of("null"))
def test_null_is_answered_by_nothing(question_id: str) -> None:
    question = BY_ID[question_id]
    assert question["answers"] == ["unanswerable"]
    assert len(question["gold_docs"]) == 1
    assert not any(stands_in("unanswerable", document_text(name)) for name in NAMES)


@pytest.mark.parametrize(
    "would_answer",
    [
        r"bereave|compassionate|funeral",
        r"landlord|freehold",
        r"managing director",
        r"remuneration|chief executive'?s? (salary|pay)",
        r"solicitor|law firm|barrister",
        r"sales [^.|]*2023|2023 [^.|]*sales",
        r"bm4-130 [^.|]*£",
    ],
)
def test_subjects_of_null_questions_are_nowhere(would_answer: str) -> None:
    assert not [name for name in NAMES if re.search(would_answer, folded(document_text(name)))]


def test_every_document_is_asked_about() -> None:
    assert {name for question in QUESTIONS for name in question["gold_docs"]} == set(NAMES)


# The documents agree with themselves and with one another


def test_report_tables_add_up() -> None:
    text = document_text("annual-report-2025.pdf")
    rows = re.findall(r"^([A-Z][\w ]+?) (\d+\.\d) (\d+\.\d) ([+-]\d+\.\d)%$", text, flags=re.M)
    totals = [row for row in rows if row[0] == "Total"]
    parts = [row for row in rows if row[0] != "Total"]
    assert len(parts) == 9
    assert len(totals) == 2
    for _, this_year, last_year, change in rows:
        assert round(100 * (float(this_year) / float(last_year) - 1), 1) == float(change)
    for column in (1, 2):
        both = sum(float(row[column]) for row in parts)
        assert round(both, 1) == round(sum(float(row[column]) for row in totals), 1)


def test_employees_by_site_add_up() -> None:
    text = document_text("annual-report-2025.pdf")
    sites = re.findall(r"^(?:Lincoln|Poznan|Rosario|Constanta) .+ \d{4} (\d+)$", text, flags=re.M)
    assert sum(map(int, sites)) == 312
    assert "Employees at 31 December 312 291" in text


def test_agreement_adds_up() -> None:
    text = document_text("supply-agreement-harlow-drove.md").replace(",", "")
    rows = re.findall(r"\| (\d+) \| £(\d+) \| £(\d+) \|", text)
    assert len(rows) == 2
    assert all(int(count) * int(each) == int(price) for count, each, price in rows)
    assert sum(int(price) for _, _, price in rows) + 25000 == 187400
    assert "£187400" in text
    weekly = 187400 * 0.005
    assert f"credit of £{10 * weekly:,.0f}" in document_text("board-minutes-2026-06.md")


def test_cable_counts_agree() -> None:
    memo = document_text("memo-connector-supplier.txt")
    counts = [
        int(number.replace(",", "")) for number in re.findall(r"^ {4}\S.*?  +([\d,]+)$", memo, flags=re.M)
    ]
    delivered, loose, held, shipped, *regions = counts
    assert delivered == loose + held + shipped
    assert shipped == sum(regions)
    for name in ("annual-report-2025.pdf", "board-minutes-2026-03.txt", "board-minutes-2026-06.md"):
        assert f"{shipped:,} cables" in folded(document_text(name))


# The PDF files


@pytest.mark.parametrize("name", PDFS)
def test_pdf_has_several_pages_with_text(name: str) -> None:
    texts = page_texts(DOCUMENTS / name)
    assert len(texts) >= 4
    for number, text in enumerate(texts, start=1):
        assert text.rstrip().endswith(f"Page {number}")
        assert len(text) > 200


@pytest.mark.parametrize("name", PDFS)
def test_pdf_text_is_the_source_text(name: str) -> None:
    """No word is lost, split or glued together on the way through the PDF."""
    head, _, body = (SOURCES / name).with_suffix(".md").read_text(encoding="utf-8").partition("\n\n")
    footer = re.search(r"^footer: (.+)$", head, flags=re.M)
    assert footer is not None
    plain = re.sub(r"^#+ |^\|[ :|-]+\|$|^---$", "", body, flags=re.M).replace("|", " ")
    text = re.sub(rf"^{re.escape(footer[1])} Page \d+$", "", document_text(name), flags=re.M)
    lost = Counter(plain.split()) - Counter(text.split())
    assert not lost


def test_pdfs_are_rebuilt_from_their_sources(make_pdfs: ModuleType, tmp_path: Path) -> None:
    built = make_pdfs.build(SOURCES, tmp_path)
    assert [path.name for path in built] == PDFS
    assert sorted(path.name for path in tmp_path.iterdir()) == PDFS
    for path in built:
        assert page_texts(path) == page_texts(DOCUMENTS / path.name), "run examples/make_pdfs.py"


def test_rebuilding_gives_the_same_bytes(make_pdfs: ModuleType) -> None:
    for path in sorted(SOURCES.glob("*.md")):
        source = make_pdfs.read_source(path)
        assert make_pdfs.render(source) == make_pdfs.render(source)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("title: A\nauthor: B\n\nbody", "lacks subject, footer, created"),
        ("title: A\nauthor: B\nsubject: C\nfooter: D\ncreated: soon\n\nbody", "not a date"),
        ("title: A\nauthor: B\nsubject: C\nfooter: D\ncreated: 2026-01-01\n\n\u20ac", "not in Latin-1"),
    ],
)
def test_faulty_source_is_named(make_pdfs: ModuleType, tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "faulty.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(make_pdfs.SourceError, match=fault) as caught:
        make_pdfs.read_source(path)
    assert "faulty.md" in str(caught.value)
