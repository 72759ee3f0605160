"""The recall suite as a command.

::

    python -m eval.recall [--model NAME|PATH] [--tasks verbatim,keys,...] [--k-bits 2,3,4,5,8]
                          [--v-bits 2,3,4,5,8] [--context-tokens 4096] [--samples 8] [--out FILE]
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from platformdirs import user_cache_path

from beyondrag.models import ModelStore, default_root
from eval.command import add_common_arguments, comma_list, positive, resolve_model, run_command, say
from eval.page import page_of, this_machine, write_report
from eval.recall.arms import codec_arms, grid, llama_arms
from eval.recall.page import chapter
from eval.recall.rows import parse_row
from eval.recall.runner import Plan, Runner
from eval.recall.summary import summary
from eval.recall.tables import text
from eval.recall.tasks import all_tasks, chosen_tasks
from eval.recall.verbatim import N_LINES
from eval.recall.verdicts import answer, paths
from eval.report import json_line, versions
from eval.rig import Rig
from eval.rowfile import RowFile

CONTEXT_TOKENS = 4096
SAMPLES = 8
BITS = ("2", "3", "4", "5", "8")
_MIN_LINES = 3


def default_out() -> Path:
    """Where rows are kept when nothing else is said."""
    return user_cache_path("beyondrag") / "eval" / "recall.jsonl"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    return run_command(lambda: _command(options, shlex.join(["beyondrag", "eval", "recall", *given])))


def _parser() -> argparse.ArgumentParser:
    tasks = "\n".join(f"  {task.name:10}{task.about}" for task in all_tasks().values())
    parser = argparse.ArgumentParser(
        prog="beyondrag eval recall",
        description="Which recall tasks survive at which bits of K and V?",
        epilog=f"tasks:\n{tasks}\n\nA run that is stopped goes on where it was when started again.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common_arguments(parser)
    parser.add_argument("--tasks", type=comma_list, default=(), help="(default: all)")
    parser.add_argument("--k-bits", type=comma_list, default=BITS, help=f"(default: {','.join(BITS)})")
    parser.add_argument("--v-bits", type=comma_list, default=BITS, help=f"(default: {','.join(BITS)})")
    parser.add_argument(
        "--codecs", type=comma_list, default=(), help="these instead of the grid, such as k5v4,k4v4"
    )
    parser.add_argument(
        "--llama",
        type=comma_list,
        default=(),
        help="llama.cpp's own caches as well, such as q8_0,q8_0/q4_0; each reads every document again",
    )
    parser.add_argument(
        "--context-tokens",
        type=positive,
        default=CONTEXT_TOKENS,
        help="tokens of the document with the prompt before it (default: %(default)s)",
    )
    parser.add_argument(
        "--samples",
        type=positive,
        default=SAMPLES,
        help="documents of each task, up to five questions each (default: %(default)s)",
    )
    parser.add_argument("--seed", type=_seed, default=0, help="(default: %(default)s)")
    parser.add_argument(
        "--lines", type=_lines, default=N_LINES, help="lines that verbatim asks for (default: %(default)s)"
    )
    parser.add_argument(
        "--spot-checks",
        type=_seed,
        default=1,
        help="questions of verbatim that are also answered token by token, for every cache "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, help="JSONL file of rows (default: recall.jsonl in the user's cache)"
    )
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write an HTML report, its JSON and a summary there"
    )
    parser.add_argument("--json", action="store_true", help="only the JSON line, no tables")
    return parser


def _command(options: argparse.Namespace, line: str) -> None:
    plan = Plan(
        tasks=chosen_tasks(options.tasks, options.lines),
        arms=codec_arms(options.codecs or grid(options.k_bits, options.v_bits)) + llama_arms(options.llama),
        context_tokens=options.context_tokens,
        samples=options.samples,
        seed=options.seed,
        spot_checks=options.spot_checks,
    )
    path: Path = options.out or default_out()
    model_path = resolve_model(options.model)
    sha256 = ModelStore(default_root()).sha256(model_path)
    with RowFile(path, parse_row) as file, Rig(model_path, options.threads) as rig:
        say(f"rows go to {path}")
        rows = Runner(rig, plan, file, sha256, say).run()
        kernels = rig.kernels.name
    found = summary(rows)
    answers = [answer(result) for result in found.tasks]
    if options.report is not None:
        facts = this_machine(
            {"Model": found.model, "Threads": str(options.threads), "Kernels": kernels}
        ).facts
        part = chapter(rows, command=line, facts=facts)
        page = page_of(f"At which bits does {found.model} no longer find what it read?", [part])
        say(f"report: {write_report(options.report, page, part.data)}")
    if not options.json:
        print(f"\n{text(found, answers)}\n")
    print(
        json_line(
            {
                "model": found.model,
                "model_sha256": found.model_sha256,
                "seed": plan.seed,
                "samples": plan.samples,
                "lines": options.lines,
                "rows": str(path),
                "kernels": kernels,
                "versions": versions(),
                "tasks": [
                    {
                        "task": result.task,
                        "context_tokens": result.context_tokens,
                        "documents": result.n_documents,
                        "informative": result.informative,
                        "answer": said,
                        "paths": [path.to_json() for path in paths(result)],
                        "heat_map": result.heat_map.to_json(),
                        "arms": [arm.to_json() for arm in result.arms],
                    }
                    for result, said in zip(found.tasks, answers, strict=True)
                ],
            }
        )
    )


def _seed(value: str) -> int:
    number = int(value)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or above")
    return number


def _lines(value: str) -> int:
    number = int(value)
    if number < _MIN_LINES:
        raise argparse.ArgumentTypeError(f"must be {_MIN_LINES} or above")
    return number
