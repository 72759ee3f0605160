"""What a compressed cache costs: divergence of the next-token distribution from that of the untouched one.

::

    python -m eval.fidelity [--model NAME|PATH] [FILE...] [--out ROWS.jsonl]
        [--context-tokens 1024,4096,16384] [--codecs exact,k4v4] [--one-sided k4,v4] [--llama q8_0,q8_0/q4_0]
        [--arms all|none|NAME,NAME] [--generated 96]

For each text an f16 context reads the context once; the log-probabilities along the next
`--eval-tokens` tokens of the text are the reference.  Then the same tokens are scored behind

- every codec: saved to a file, attached from it into an empty sequence, at its own position;
- one side alone: K through the codec and V exact, or the other way round;
- llama.cpp's own quantised caches (K, or K/V), with the text read into them;
- methods from the literature, coded in NumPy (`eval.compression.arms`);
- "f16 moved": the exact codec attached behind other tokens, against a fresh prefill at that position.
  Nothing but rounding differs, so this is the noise floor.

With `--generated` the f16 cache also answers a fixed question about each text, through the model's chat
template, and everything is scored along that answer as well: that is reported apart.

With `--report` all of it becomes one HTML page with rate-distortion plots; `--plot` makes the first
of them an SVG file.

With `--out` every row is kept as it comes, and a run that was stopped goes on where it was.

Which codecs keep the model's predictions is stored with the installed models, for the product to warn by.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from beyondrag.errors import UsageError
from beyondrag.fidelity_verdict import verdict_path
from beyondrag.models import ModelStore, default_root
from eval.command import add_common_arguments, comma_list, positive, resolve_model, run_command, say
from eval.compression.arms import LITERATURE, Arm
from eval.compression.caches import LLAMA_BITS, MOVED, parse_cache
from eval.compression.page import page
from eval.compression.plan import CODECS, CONTEXT_TOKENS, EVAL_TOKENS, LLAMA_CACHES, ONE_SIDED, Plan
from eval.compression.plot import figure, text_plot
from eval.compression.rows import Measured, Row, combine
from eval.compression.run import Run, measure
from eval.compression.tables import arm_notes, length_table, row_line, sections, table, verdict_table
from eval.compression.verdict import verdict, write_verdicts
from eval.page import write_figure, write_report
from eval.report import json_line, versions
from eval.rig import Rig
from eval.rowfile import RowFile
from eval.texts import text_pool
from kvfiles.errors import StorageError

__all__ = [
    "CONTEXT_TOKENS",
    "EVAL_TOKENS",
    "LLAMA_BITS",
    "MOVED",
    "Plan",
    "Row",
    "main",
    "measure",
    "parse_cache",
    "table",
]


def plans_of(options: argparse.Namespace) -> list[Plan]:
    """A plan for each length that the command line asks for; raises UsageError for an unknown arm."""
    return [
        Plan(
            context_tokens,
            options.eval_tokens,
            options.codecs,
            options.llama,
            not options.no_moved,
            options.one_sided,
            chosen_arms(options.arms),
            options.generated,
        )
        for context_tokens in options.context_tokens
    ]


def chosen_arms(names: Sequence[str]) -> tuple[Arm, ...]:
    """The arms whose names contain one of `names`; `all` and `none` are what they say.  Raises UsageError."""
    if tuple(names) in (("none",), ()):
        return ()
    if tuple(names) == ("all",):
        return LITERATURE
    for name in names:
        if not any(name.casefold() in arm.name.casefold() for arm in LITERATURE):
            known = "; ".join(arm.name for arm in LITERATURE)
            raise UsageError(f"there is no method {name!r}", remedy=f"use all, none, or a part of: {known}")
    return tuple(arm for arm in LITERATURE if any(name.casefold() in arm.name.casefold() for name in names))


def lengths(text: str) -> tuple[int, ...]:
    """An argparse type: ascending numbers of tokens with commas between."""
    found = tuple(sorted({positive(word) for word in comma_list(text)}))
    if not found:
        raise argparse.ArgumentTypeError("no number of tokens")
    return found


def not_negative(text: str) -> int:
    """An argparse type: an integer from 0 on."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be below 0")
    return value


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m eval.fidelity", description="What a compressed cache costs."
    )
    add_common_arguments(found)
    add = found.add_argument
    add("files", nargs="*", type=Path, help="texts to measure on (default: the example documents)")
    add("--join", action="store_true", help="make one text of all files of a folder")
    add(
        "--context-tokens",
        type=lengths,
        default=(CONTEXT_TOKENS,),
        help=f"tokens that are read, one or several lengths (default: {CONTEXT_TOKENS})",
    )
    add("--eval-tokens", type=positive, default=EVAL_TOKENS, help="tokens scored (default: %(default)s)")
    add("--codecs", type=comma_list, default=CODECS, help=f"(default: {','.join(CODECS)})")
    add(
        "--one-sided",
        type=comma_list,
        default=ONE_SIDED,
        help=f"only K or only V coded (default: {','.join(ONE_SIDED)})",
    )
    add(
        "--llama",
        type=comma_list,
        default=LLAMA_CACHES,
        help=f"llama.cpp's caches (default: {','.join(LLAMA_CACHES)})",
    )
    add(
        "--arms",
        type=comma_list,
        default=("all",),
        help="methods from the literature: all, none, or parts of their names (default: all)",
    )
    add(
        "--generated",
        type=not_negative,
        default=0,
        metavar="N",
        help="also score along the f16 cache's own answers of at most N tokens (default: %(default)s)",
    )
    add("--no-moved", action="store_true", help="leave the noise floor out")
    add("--out", type=Path, metavar="FILE", help="keep rows in this JSONL file and go on from it")
    add(
        "--verdicts",
        type=Path,
        metavar="FILE",
        help="store which codecs keep the model's predictions there, not beside the model, where "
        "`ask`, `ingest` and `doctor` find it",
    )
    add("--report", type=Path, metavar="DIR", help="write an HTML report, its JSON and a summary there")
    add("--plot", type=Path, metavar="FILE", help="write rate against distortion as an SVG file there")
    add("--json", action="store_true", help="only the JSON line, no tables")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    return run_command(lambda: _command(options, shlex.join(["beyondrag", "eval", "fidelity", *given])))


def _command(options: argparse.Namespace, line: str) -> None:
    plans = plans_of(options)
    path = resolve_model(options.model)
    sha256 = ModelStore(default_root()).sha256(path)
    with ExitStack() as stack:
        rig = stack.enter_context(Rig(path, options.threads))
        file = stack.enter_context(RowFile(options.out, Measured.from_json)) if options.out else None
        run = Run(rig, model_sha256=sha256, file=file, progress=say, on_row=lambda row: say(row_line(row)))
        measured: list[Measured] = []
        pool = text_pool(rig.model, options.files, join=options.join)
        fitting = [
            pool.fitting(plan.text_tokens) for plan in plans
        ]  # nothing runs before all is known to fit
        for plan, (texts, left_out) in zip(plans, fitting, strict=True):
            for name in left_out:
                say(f"{name}: too short for {plan.context_tokens} tokens, left out")
            measured += run.measure(texts, plan)
        rows = combine(measured)
        model, kernels = rig.model.path.stem, rig.kernels.name
    _store_verdicts(options.verdicts, path, sha256, rows)
    if not options.json:
        _print(rows, plans[0].arms)
    summary = {
        "model": model,
        "context_tokens": [plan.context_tokens for plan in plans],
        "eval_tokens": options.eval_tokens,
        "generated": options.generated,
        "texts": sorted({one.case.text for one in measured}),
        "rows": [row.to_json() for row in rows],
        "verdicts": [asdict(one) for one in verdict(rows)],
        "kernels": kernels,
        "versions": versions(),
    }
    if options.report:
        found = page(rows, plans[0].arms, model=model, command=line)
        say(f"report: {write_report(options.report, found, summary)}")
    if options.plot:
        write_figure(options.plot, figure(_plotted(rows), command=line))
    print(json_line(summary))


def _store_verdicts(chosen: Path | None, model: Path, sha256: str, rows: Sequence[Row]) -> None:
    """Into the chosen file, or beside the installed models; the latter may be read-only."""
    target = chosen or verdict_path(default_root(), model)
    try:
        write_verdicts(target, model.stem, sha256, rows)
    except StorageError as error:
        if chosen:
            raise
        say(f"the verdicts could not be kept: {error}")
    else:
        say(f"verdicts: {target}")


def _print(rows: Sequence[Row], arms: Sequence[Arm]) -> None:
    for section in sections(rows):
        print(f"\n{section}")
    parts = (length_table(rows), arm_notes(arms), text_plot(_plotted(rows)), verdict_table(verdict(rows)))
    for part in filter(None, parts):
        print(f"\n{part}")
    print()


def _plotted(rows: Sequence[Row]) -> list[Row]:
    """Those of the first length, along the text."""
    first = rows[0].context_tokens if rows else 0
    return [row for row in rows if row.mode == "text" and row.context_tokens == first]


if __name__ == "__main__":
    sys.exit(main())
