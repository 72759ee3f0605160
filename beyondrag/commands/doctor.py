"""`beyondrag doctor`: is everything in order, and what to do about what is not."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from beyondrag.console import Console

if TYPE_CHECKING:
    from beyondrag.health.check import Check
    from beyondrag.health.report import Report

EXIT_BAD = 1

_EPILOG = """examples:
  beyondrag doctor                    look at everything, in a second or two
  beyondrag doctor --deep             also open the model, hash it again and read the whole library
  beyondrag doctor --json             for a program
  beyondrag doctor --model mine.gguf  can this model be used?

Changes nothing in the library.  Exit code 1 when something is bad; a warning alone is none."""


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="check model, memory, disk and library, with remedies",
        description="Check everything that beyondrag depends on and say what to do.",
        epilog=_EPILOG,
        parents=parents,
    )
    parser.add_argument(
        "--deep", action="store_true", help="open the model, hash it again, read the whole library"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console) -> int:
    """The command; 0 unless something is bad."""
    from beyondrag.health.report import examine

    def show(check: Check) -> None:
        console.out(f"{check.status:<5} {check.name:<20} {check.line}")
        if check.status != "ok" and check.remedy:
            console.out(f"      try: {check.remedy}")

    if args.deep and not console.wants_json:
        console.note("reading model and library whole; this takes minutes where they are large")
    report = examine(args, deep=args.deep, on_check=None if console.wants_json else show)
    if console.wants_json:
        console.json(report.to_json())
    else:
        _print_rest(report, console)
    return 0 if report.healthy else EXIT_BAD


def _print_rest(report: Report, console: Console) -> None:
    if report.settings:
        console.out("")
        console.out("settings:")
    for one in report.settings:
        console.out(f"  {one.name:<11} {one.value}  ({one.origin})")
    n_bad, n_warn = report.count("bad"), report.count("warn")
    console.out("")
    if n_bad or n_warn:
        console.out(f"{n_bad} bad, {n_warn} to look at, {report.count('ok')} in order")
    else:
        console.out(f"all {report.count('ok')} checks are in order")
