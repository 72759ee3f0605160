"""`beyondrag eval qa`: the product against chunk-RAG on question sets."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from beyondrag.chunk_rag.chunks import CHUNK_TOKENS, OVERLAP_TOKENS
from beyondrag.chunk_rag.placing import TOP_CHUNKS
from beyondrag.console import Console
from beyondrag.errors import UsageError
from beyondrag.interrupts import interruptible
from beyondrag.settings import DEFAULT_CONTEXT, Settings, settings_from
from beyondrag.turn import ANSWER_TOKENS
from eval.command import comma_list, positive, run_command
from eval.page import page_of, write_report
from eval.qa.answered import of_part, ordered, read_answers
from eval.qa.arms import ARMS, DEFAULT_ARMS, Arm, Budget, parse_arms
from eval.qa.code import code_fingerprint
from eval.qa.page import chapter
from eval.qa.presentation import (
    Part,
    View,
    differing_circumstances,
    part_json,
    part_of,
    part_text,
    pooled_json,
    pooled_text,
)
from eval.qa.session import Choices, Session, SetAnswers
from eval.qa.shelf import Shelf, default_work
from eval.qa.strata import By
from eval.report import json_line, versions
from eval.sets import read_set, sample

_EPILOG = f"""\
systems: {", ".join(ARMS)}
  doc            the product: whole documents from their snapshots; doc@k8v8 takes another codec
  doc-exact      the same documents, prefilled for every question
  oracle         the gold documents from their snapshots; oracle@CODEC takes another codec
  chunk-bm25     chunk-RAG: BM25+; chunk-dense: sentence embeddings (pip install 'beyondrag[dense]');
  chunk-hybrid   both, fused by rank
  closed-book    no text at all

examples:
  beyondrag eval qa examples
  beyondrag eval qa SET --systems doc,chunk-bm25,chunk-hybrid --limit 40
  beyondrag eval qa SET --systems doc,doc@k8v8,doc-exact --types single,null
  beyondrag eval qa --rows runs/A.jsonl runs/B.jsonl --systems oracle --thresholds

Answers are kept: the same command goes on after a stop, and a larger --limit asks only what is new."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    return run_command(lambda: _command(options, shlex.join(["beyondrag", "eval", "qa", *given])))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="beyondrag eval qa",
        description="Answers, hallucinations, time: the product against chunk-RAG with the same model.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "sets",
        nargs="*",
        type=Path,
        metavar="SET",
        help="folder with questions*.jsonl and documents, in docs/ or beside the questions",
    )
    parser.add_argument(
        "--systems",
        type=comma_list,
        help=f"(default: {','.join(DEFAULT_ARMS)}; with --rows all that are there)",
    )
    parser.add_argument(
        "--rows", type=Path, nargs="+", default=(), metavar="FILE", help="tables of kept answers, no model"
    )
    parser.add_argument(
        "--questions",
        type=Path,
        nargs="+",
        default=(),
        metavar="FILE",
        help="ask these instead of the set's own",
    )
    parser.add_argument("--types", type=comma_list, default=(), help="only questions of these types")
    parser.add_argument(
        "--limit", type=positive, help="questions of each set, sampled by type (default: all)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: %(default)s)")
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="compare systems pair by pair without the check of the evidence",
    )
    parser.add_argument(
        "--pairs-by",
        choices=get_args(By),
        help="compare the first system with each other one by type of question, number of gold documents or "
        "of documents in its context",
    )
    parser.add_argument(
        "--thresholds", action="store_true", help="what other thresholds of the second reading would show"
    )
    parser.add_argument("--model", help="name of a pulled model or path of a GGUF")
    parser.add_argument("--codec", help="of the product's snapshots: exact, k4v4 and the like, archive ...")
    parser.add_argument("--threads", type=positive, help="CPU threads (default: all cores)")
    parser.add_argument(
        "--context", type=positive, help=f"size of the model's context (default: {DEFAULT_CONTEXT})"
    )
    parser.add_argument(
        "--max-tokens", type=positive, default=ANSWER_TOKENS, help="of an answer (default: %(default)s)"
    )
    parser.add_argument("--top-k", type=positive, default=3, help="documents of doc (default: %(default)s)")
    parser.add_argument(
        "--repair", type=int, default=0, metavar="TOKENS", help="recompute the heads of documents 2.. of doc"
    )
    parser.add_argument(
        "--top-chunks", type=positive, default=TOP_CHUNKS, help="chunks of chunk-RAG (default: %(default)s)"
    )
    parser.add_argument(
        "--chunk-tokens", type=positive, default=CHUNK_TOKENS, help="tokens of a chunk (default: %(default)s)"
    )
    parser.add_argument(
        "--overlap", type=int, default=OVERLAP_TOKENS, help="tokens chunks share (default: %(default)s)"
    )
    parser.add_argument(
        "--read-needed",
        action="store_true",
        help="read only documents that the questions can choose; the cost of all is estimated",
    )
    parser.add_argument("--redo", action="store_true", help="ask again what earlier code answered")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where libraries and answers are kept")
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write an HTML report, its JSON and a summary there"
    )
    parser.add_argument("--verbose", action="store_true", help="tell every new answer on stderr")
    parser.add_argument("--json", action="store_true", help="only the JSON line, no tables")
    return parser


def _command(options: argparse.Namespace, line: str) -> None:
    if bool(options.sets) == bool(options.rows):
        raise UsageError("name one or several sets, or --rows", remedy="beyondrag eval qa --help")
    view = View(not options.no_check, options.pairs_by, options.thresholds)
    console = Console(wants_json=options.json)
    arms, parts = (_kept if options.rows else _asked)(options, console, view)
    for warning in differing_circumstances(parts, code_fingerprint()):
        console.warn(warning)
    if len(parts) > 1 and not options.json:
        console.block(pooled_text(parts, arms, view))
    circumstances = [one.row.circumstances for part in parts for one in part.results]
    summary = {
        "suite": "qa",
        "model": next((noted.get("model") for noted in circumstances), None),
        "processors": sorted({str(noted.get("processor", "not noted")) for noted in circumstances}),
        "threads": sorted({str(noted.get("threads", "not noted")) for noted in circumstances}),
        "systems": [arm.name for arm in arms],
        "seed": options.seed,
        "limit": options.limit,
        "types": list(options.types),
        "codec": next((part.answers.codec for part in parts), ""),
        "code": code_fingerprint(),
        "pairs_read": "shown" if view.checked else "unchecked",
        "sets": [part_json(part, arms, view) for part in parts],
        "pooled": pooled_json(parts, arms, view),
        "versions": versions(),
    }
    if options.report is not None:
        found = chapter([of_part(part) for part in parts], command=line)
        page = page_of(f"Whole documents against chunk-RAG: {summary['model']}", [found])
        console.note(f"report: {write_report(options.report, page, summary)}")
    print(json_line(summary))


def _asked(options: argparse.Namespace, console: Console, view: View) -> tuple[list[Arm], list[Part]]:
    """Ask what has not been asked yet."""
    if not 0 <= options.overlap < options.chunk_tokens / 2:
        raise UsageError("must be less than half of --chunk-tokens", subject="--overlap")
    if not 0 <= options.repair <= options.max_tokens * 64:
        raise UsageError("must not be negative", subject="--repair")
    if options.questions and len(options.sets) > 1:
        raise UsageError("one set at a time can be asked these", subject="--questions")
    arms = parse_arms(DEFAULT_ARMS if options.systems is None else options.systems)
    sets = [read_set(folder, options.questions) for folder in options.sets]
    chosen = [sample(s.questions, limit=options.limit, seed=options.seed, types=options.types) for s in sets]
    budget = Budget(
        options.max_tokens,
        options.top_k,
        options.repair,
        options.top_chunks,
        options.chunk_tokens,
        options.overlap,
    )
    choices = Choices(
        _settings(options),
        budget,
        read_needed=options.read_needed,
        redo=options.redo,
        tells=options.verbose,
    )
    work: Path = (options.work or default_work()).expanduser().absolute()
    parts: list[Part] = []
    with interruptible(lambda: console.note("stopping; answers are kept")) as cancelled:
        session = Session(choices, console, cancelled)
        for question_set, questions in zip(sets, chosen, strict=True):
            console.note(f"{question_set.name}: {len(questions)} of {len(question_set.questions)} questions")
            if question_set.hidden:
                console.note(f"hidden from every system: {', '.join(question_set.hidden)}")
            answers = session.answer(question_set, questions, arms, Shelf(work, question_set))
            parts.append(part_of(answers, arms, checked=view.checked))
            if not options.json:
                console.block(part_text(parts[-1], arms, seed=options.seed, view=view))
    return arms, parts


def _kept(options: argparse.Namespace, console: Console, view: View) -> tuple[list[Arm], list[Part]]:
    """The answers of files of rows, without a model; of all systems in them, or those that are named."""
    answered = read_answers(options.rows)
    found = ordered(name for one in answered for name in one.systems)
    arms = parse_arms(found if options.systems is None else options.systems)
    every = [r.row.question for one in answered for r in one.results]
    sample(every, types=options.types)  # refuses types that none of the sets has
    parts: list[Part] = []
    for one in answered:
        questions = list({r.id: r.row.question for r in one.results}.values())
        types = {question.type for question in questions} & set(options.types)
        if options.types and not types:
            continue
        chosen = sample(questions, limit=options.limit, seed=options.seed, types=types)
        ids, names = {question.id for question in chosen}, {arm.name for arm in arms}
        rows = tuple(r.row for r in one.results if r.row.question.id in ids and r.row.system in names)
        part = part_of(SetAnswers(one.set, "", None, rows, {}, {}), arms, checked=view.checked)
        parts.append(part)
        if not options.json:
            console.block(part_text(part, arms, seed=options.seed, view=view))
    return arms, parts


def _settings(options: argparse.Namespace) -> Settings:
    return settings_from(options)
