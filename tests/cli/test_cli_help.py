"""Every command explains itself, quickly."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beyondrag.cli import build_parser

REPOSITORY = Path(__file__).resolve().parents[2]


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """`parser` and all below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


COMMAND_LINES = [parser.prog.split()[1:] for parser in parsers(build_parser())]


def test_the_promised_commands_are_there() -> None:
    promised = "ingest|ask|models|models list|models pull|models path|models remove"
    promised += "|library|library list|library show|library remove|library verify|inspect"
    assert {" ".join(line) for line in COMMAND_LINES} >= set(promised.split("|"))


@pytest.mark.parametrize("line", COMMAND_LINES, ids=" ".join)
def test_every_help_has_examples(line: list[str], beyondrag) -> None:
    shown = beyondrag(*line, "--help")
    assert shown.code == 0
    assert shown.err == ""
    assert "examples:" in shown.out
    assert f"  beyondrag {' '.join(line)}".rstrip() in shown.out.partition("examples:")[2]


@pytest.mark.parametrize("line", COMMAND_LINES, ids=" ".join)
def test_every_argument_is_explained(line: list[str]) -> None:
    (parser,) = [p for p in parsers(build_parser()) if p.prog.split()[1:] == line]
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            assert action.help, action


def test_the_help_documents_every_exit_code(beyondrag) -> None:
    text = beyondrag("--help").out.partition("exit codes:")[2]
    for code in (
        "0 done",
        "1 failed",
        "2 wrong usage",
        "3 the documents do not answer",
        "4 input",
        "5 model",
    ):
        assert code in text
    for code in ("6 library or snapshot", "7 storage", "130 stopped"):
        assert code in text


def test_without_arguments_the_help_is_shown_as_wrong_usage(beyondrag) -> None:
    shown = beyondrag()
    assert shown.code == 2
    assert "usage: beyondrag" in shown.out


def test_the_version(beyondrag) -> None:
    shown = beyondrag("--version")
    assert shown.code == 0
    assert shown.out.startswith("beyondrag 0.")


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from beyondrag.cli import main; main(['--help']);"
        "print(sorted({'numpy', 'tantivy', 'llama_cpp', 'textual', 'rich', 'pypdf', 'jinja2', 'sqlite3',"
        " 'http', 'ssl'} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert shown.stdout.splitlines()[-1] == "[]"


def test_it_runs_as_a_module() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "beyondrag", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    assert shown.stdout.startswith("beyondrag 0.")
