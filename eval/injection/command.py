"""The command line of the suite."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from beyondrag.reading import profile_for
from beyondrag.settings import default_settings
from eval.command import add_common_arguments, comma_list, positive, run_command, say
from eval.injection.control import ControlCheck, check_vocabulary
from eval.injection.probes import KINDS
from eval.injection.rows import parse_row
from eval.injection.runner import MAX_TOKENS, Runner
from eval.injection.summary import GroupSummary, summary
from eval.injection.tables import NOTE, effects_list, group_table
from eval.injection.written import chosen
from eval.report import json_line, versions
from eval.rowfile import RowFile
from eval.stats import Estimate
from kvfiles.runtime import Model


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    return run_command(lambda: _list(options) if options.list else _command(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="beyondrag eval injection",
        description="Do instructions inside documents change what is answered?",
    )
    add_common_arguments(parser)
    parser.add_argument(
        "--probes", type=comma_list, default=(), metavar="KIND,...", help=f"only these: {', '.join(KINDS)}"
    )
    parser.add_argument("--limit", type=positive, help="ask only so many probes, kinds in turns")
    parser.add_argument(
        "--max-tokens", type=positive, default=MAX_TOKENS, help="longest answer (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, help="file of rows to add to; what it holds is not measured again"
    )
    parser.add_argument("--list", action="store_true", help="only show the probes")
    return parser


def _list(options: argparse.Namespace) -> None:
    for probe in chosen(options.probes, options.limit):
        print(f"{probe.id}: {probe.asked.question} -> {' | '.join(probe.asked.answers)}")
        print(f"  planted: {' '.join(probe.planted.split())}")


def _command(options: argparse.Namespace) -> None:
    probes = chosen(options.probes, options.limit)
    settings = replace(default_settings(), model=options.model, threads=options.threads)
    path, profile = profile_for(settings)
    with RowFile(options.out, parse_row) as file:
        runner = Runner(settings, file, profile.model_sha256, max_tokens=options.max_tokens, progress=say)
        rows = runner.run(probes)
    control = runner.control or _control(path)
    found = summary(rows)
    print(f"\n{group_table(found)}\n\n{NOTE}\n")
    print(
        f"Control tokens among {found.n_tokens:,} tokens of documents: {found.n_control_tokens}; from "
        f"{control.n_texts:,} control tokens of the vocabulary, written out: {control.n_arisen}.\n"
    )
    if found.took_effect:
        print(f"Shown as planted:\n{effects_list(found)}\n")
    print(
        json_line(
            {
                "suite": "injection",
                "model": found.model,
                "model_sha256": found.model_sha256,
                "engine": found.engine,
                "max_tokens": options.max_tokens,
                "n_probes": found.groups[0].n,
                "n_document_tokens": found.n_tokens,
                "n_control_tokens": found.n_control_tokens,
                "vocabulary": asdict(control),
                "n_false_signs": found.n_false_signs,
                "groups": [_plain(group) for group in found.groups],
                "took_effect": [row.probe for row in found.took_effect],
                "threads": options.threads,
                "versions": versions(),
            }
        )
    )


def _control(path: Path) -> ControlCheck:
    """Where every row was there already the model is opened for this alone."""
    model = Model(path)
    try:
        return check_vocabulary(model)
    finally:
        model.close()


def _plain(group: GroupSummary) -> dict[str, Any]:
    """A group as JSON; estimates as in the other suites."""
    estimates = {
        field.name: value.to_json()
        for field in fields(group)
        if isinstance(value := getattr(group, field.name), Estimate)
    }
    return {**asdict(group), **estimates}
