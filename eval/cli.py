"""`beyondrag eval`: the measuring commands, each in a module that is only imported when it is called."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from beyondrag.errors import UsageError
from eval.command import run_command, say


def _in_package(package: str) -> tuple[str, ...]:
    return (f"{package}.command", f"{package}.__main__")


@dataclass(frozen=True, slots=True)
class Suite:
    """A command; its function ``main(argv) -> int`` is in the first of `modules` that has one."""

    name: str
    help: str
    modules: tuple[str, ...]


SUITES = (
    Suite("qa", "answers, hallucinations and time against chunk-RAG", ("eval.qa.command",)),
    Suite("fidelity", "what a compressed cache costs, token by token", ("eval.fidelity",)),
    Suite("recall", "at which bits a model no longer finds what it read", _in_package("eval.recall")),
    Suite("drift", "whether instructions and facts are kept", _in_package("eval.drift")),
    Suite("injection", "whether instructions in documents are followed", ("eval.injection.command",)),
    Suite("make-questions", "draft questions about one's own folder", ("eval.make_questions.command",)),
    Suite("report", "one HTML file from what was measured", ("eval.report_command",)),
)

_HELP = """\
usage: beyondrag eval SUITE [options]

Measure what whole documents buy, and what compression costs.

suites:
{suites}

examples:
  beyondrag eval qa examples                 ask the example questions, with and without chunks
  beyondrag eval make-questions FOLDER       draft questions about one's own documents
  beyondrag eval SUITE --help                what a suite can do
"""


def available() -> list[Suite]:
    """The suites whose module is there."""
    return [suite for suite in SUITES if _module(suite) is not None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a suite with its arguments; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        suites = "\n".join(f"  {suite.name:<16} {suite.help}" for suite in available())
        print(_HELP.format(suites=suites), end="")
        return 0 if given else UsageError.exit_code
    found = {suite.name: suite for suite in available()}
    if given[0] not in found:
        return run_command(lambda: _refuse(given[0], list(found)))
    try:
        return _run(found[given[0]], given[1:])
    except SystemExit as stop:  # argparse: --help, or a wrong option
        if isinstance(stop.code, str):
            say(stop.code)
            return 1
        return stop.code or 0


def _run(suite: Suite, arguments: list[str]) -> int:
    module = _module(suite)
    assert module is not None  # `available` has seen it
    code: int = importlib.import_module(module).main(arguments)
    return code


def _refuse(name: str, known: list[str]) -> None:
    raise UsageError(f"there is no suite {name[:40]!r}", remedy=f"one of: {', '.join(known)}")


def _module(suite: Suite) -> str | None:
    """The name of the first module that exists, without importing the suite itself."""
    for name in suite.modules:
        try:
            if importlib.util.find_spec(name) is not None:
                return name
        except ModuleNotFoundError:  # the package around it
            continue
    return None
