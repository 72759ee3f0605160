"""The command line of the suite."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from beyondrag.models import ModelStore, default_root
from eval.command import add_common_arguments, comma_list, positive, resolve_model, run_command, say
from eval.drift.arms import CODECS, LLAMA_CACHES, parse_arms
from eval.drift.page import chapter
from eval.drift.probe_set import SEED, all_topics, chosen_topics, parse_kinds
from eval.drift.probes import KINDS, Topic
from eval.drift.rows import parse_row
from eval.drift.runner import MAX_TOKENS, Runner
from eval.drift.summary import ArmSummary, summary
from eval.drift.tables import NOTE, arm_table, kind_table
from eval.page import page_of, this_machine, write_report
from eval.report import json_line, versions
from eval.rig import Rig
from eval.rowfile import RowFile
from eval.stats import Estimate


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    line = shlex.join(["beyondrag", "eval", "drift", *given])
    return run_command(lambda: _list(options) if options.list else _command(options, line))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="beyondrag eval drift", description="Does a model behave the same behind a compressed cache?"
    )
    add_common_arguments(parser)
    parser.add_argument("--codecs", type=comma_list, default=CODECS, help=f"(default: {','.join(CODECS)})")
    parser.add_argument(
        "--llama",
        type=comma_list,
        default=LLAMA_CACHES,
        help=f"llama.cpp's caches (default: {','.join(LLAMA_CACHES)})",
    )
    parser.add_argument("--no-floor", action="store_true", help="do not read into f16 a second time")
    parser.add_argument(
        "--probes", type=comma_list, default=(), metavar="KIND,...", help=f"only these: {', '.join(KINDS)}"
    )
    parser.add_argument("--limit", type=positive, help="ask only so many probes, kinds in turns")
    parser.add_argument(
        "--seed", type=_seed, default=SEED, help="of the generated documents (default: %(default)s)"
    )
    parser.add_argument(
        "--max-tokens", type=positive, default=MAX_TOKENS, help="longest reply (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, help="file of rows to add to; what it holds is not measured again"
    )
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write an HTML report, its JSON and a summary there"
    )
    parser.add_argument("--list", action="store_true", help="only show the probes and what is checked")
    return parser


def _seed(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be below 0")
    return value


def _topics(options: argparse.Namespace) -> tuple[Topic, ...]:
    return chosen_topics(all_topics(options.seed), parse_kinds(options.probes), options.limit)


def _list(options: argparse.Namespace) -> None:
    for topic in _topics(options):
        for probe in topic.probes:
            print(f"{probe.id} ({probe.kind})")
            for turn in probe.turns:
                print(f"  {turn.user}\n    -> {turn.check.describe() if turn.check else 'not checked'}")


def _command(options: argparse.Namespace, line: str) -> None:
    topics = _topics(options)
    arms = parse_arms(options.codecs, options.llama, floor=not options.no_floor)
    path = resolve_model(options.model)
    sha256 = ModelStore(default_root()).sha256(path)
    with RowFile(options.out, parse_row) as file, Rig(path, options.threads) as rig:
        runner = Runner(rig, arms, file, sha256, max_tokens=options.max_tokens, progress=say)
        rows = runner.run(topics)
        kernels = rig.kernels.name
    found = summary(rows)
    if options.report is not None:
        facts = this_machine(
            {"Model": found.model, "Threads": str(options.threads), "Kernels": kernels}
        ).facts
        part = chapter(rows, command=line, facts=facts)
        page = page_of(f"Does {found.model} behave the same behind a compressed cache?", [part])
        say(f"report: {write_report(options.report, page, part.data)}")
    print(f"\n{arm_table(found)}\n\n{kind_table(found)}\n\n{NOTE}\n")
    print(
        json_line(
            {
                "suite": "drift",
                "model": found.model,
                "model_sha256": found.model_sha256,
                "seed": options.seed,
                "max_tokens": options.max_tokens,
                "n_probes": found.n_probes,
                "n_documents": found.n_documents,
                "arms": [_plain(arm) for arm in found.arms],
                "by_kind": [_plain(arm) for arm in found.by_kind],
                "n_changed": len(found.changed),
                "threads": options.threads,
                "kernels": kernels,
                "versions": versions(),
            }
        )
    )


def _plain(arm: ArmSummary) -> dict[str, Any]:
    """An arm as JSON; estimates as in the other suites."""
    estimates = {
        field.name: value.to_json()
        for field in fields(arm)
        if isinstance(value := getattr(arm, field.name), Estimate)
    }
    return {**asdict(arm), **estimates}
