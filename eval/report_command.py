"""`beyondrag eval report`: one page from rows that the suites have kept."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from beyondrag.errors import UsageError
from eval.command import run_command, say
from eval.compression import page as fidelity_page
from eval.compression.rows import Measured
from eval.drift import page as drift_page
from eval.drift.rows import parse_row as drift_row
from eval.page import Chapter, page_of, write_report
from eval.qa import page as qa_page
from eval.qa.answered import read_answers
from eval.recall import page as recall_page
from eval.recall.rows import parse_row as recall_row
from eval.report import json_line, versions
from eval.rowfile import read_rows

TITLE = "What whole documents buy, and what compression costs"

_EPILOG = """\
examples:
  beyondrag eval report --out report --qa runs/examples.jsonl --recall recall.jsonl
Rows are those of --out of a suite, and for qa runs/SET.jsonl in the folder of its --work."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args(arguments)
    return run_command(lambda: _command(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="beyondrag eval report",
        description="One HTML page, its JSON and a Markdown summary from kept rows.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--out", type=Path, metavar="DIR", required=True, help="where the report is written")
    add("--qa", type=Path, nargs="+", default=(), metavar="ROWS", help="answers of one or several sets")
    add("--fidelity", type=Path, metavar="ROWS", help="rows of eval fidelity")
    add("--recall", type=Path, metavar="ROWS", help="rows of eval recall")
    add("--drift", type=Path, metavar="ROWS", help="rows of eval drift")
    add("--title", default=TITLE, help="(default: %(default)s)")
    return parser


def chapters(options: argparse.Namespace) -> list[Chapter]:
    """A chapter for each kind of rows that was given; raises UsageError and StorageError."""
    qa: Sequence[Path] = options.qa
    found: list[Chapter] = [qa_page.chapter(read_answers(qa))] if qa else []
    kinds: tuple[tuple[Path | None, Callable[[Path], Chapter]], ...] = (
        (options.fidelity, lambda path: fidelity_page.chapter(read_rows(path, Measured.from_json))),
        (options.recall, lambda path: recall_page.chapter(read_rows(path, recall_row))),
        (options.drift, lambda path: drift_page.chapter(read_rows(path, drift_row))),
    )
    found += [make(path) for path, make in kinds if path is not None]
    if not found:
        raise UsageError("no rows", remedy="give --qa, --fidelity, --recall or --drift")
    return found


def _command(options: argparse.Namespace) -> None:
    found = chapters(options)
    page = page_of(options.title, found)
    path = write_report(options.out, page, {chapter.suite: chapter.data for chapter in found})
    say(f"report: {path}")
    print(
        json_line(
            {
                "suite": "report",
                "report": str(path),
                "parts": [chapter.suite for chapter in found],
                "answer": page.summary.answer,
                "versions": versions(),
            }
        )
    )
