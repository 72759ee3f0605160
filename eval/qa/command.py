"""`beyondrag eval qa`: the product against chunk-RAG on question sets."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from beyondrag.console import Console
from beyondrag.errors import UsageError
from beyondrag.interrupts import interruptible
from beyondrag.settings import DEFAULT_CONTEXT, Settings, settings_from
from beyondrag.turn import ANSWER_TOKENS
from eval.command import comma_list, positive, run_command
from eval.page import page_of, write_report
from eval.qa.answered import of_part
from eval.qa.arms import ARMS, DEFAULT_ARMS, Budget, parse_arms
from eval.qa.chunk_rag import TOP_CHUNKS
from eval.qa.chunks import CHUNK_TOKENS, OVERLAP_TOKENS
from eval.qa.code import code_fingerprint
from eval.qa.page import chapter
from eval.qa.presentation import (
    Part,
    differing_circumstances,
    part_json,
    part_of,
    part_text,
    pooled_json,
    pooled_text,
)
from eval.qa.session import Choices, Session
from eval.qa.shelf import Shelf, default_work
from eval.report import json_line, versions
from eval.sets import read_set, sample
from kvfiles.codecs import is_codec_name

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
        "sets", nargs="+", type=Path, metavar="SET", help="folder with docs/ and questions*.jsonl"
    )
    parser.add_argument(
        "--systems", type=comma_list, default=DEFAULT_ARMS, help=f"(default: {','.join(DEFAULT_ARMS)})"
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
    parser.add_argument("--model", help="name of a pulled model or path of a GGUF")
    parser.add_argument("--codec", help="of the product's snapshots: exact, or k4v4 and the like")
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
    if not 0 <= options.overlap < options.chunk_tokens / 2:
        raise UsageError("must be less than half of --chunk-tokens", subject="--overlap")
    if not 0 <= options.repair <= options.max_tokens * 64:
        raise UsageError("must not be negative", subject="--repair")
    arms = parse_arms(options.systems)
    sets = [read_set(folder) for folder in options.sets]
    chosen = [sample(s.questions, limit=options.limit, seed=options.seed, types=options.types) for s in sets]
    choices = Choices(
        _settings(options),
        Budget(
            options.max_tokens,
            options.top_k,
            options.repair,
            options.top_chunks,
            options.chunk_tokens,
            options.overlap,
        ),
        read_needed=options.read_needed,
        redo=options.redo,
        tells=options.verbose,
    )
    checked = not options.no_check
    console = Console(wants_json=options.json)
    work: Path = (options.work or default_work()).expanduser().absolute()
    parts: list[Part] = []
    with interruptible(lambda: console.note("stopping; answers are kept")) as cancelled:
        session = Session(choices, console, cancelled)
        for question_set, questions in zip(sets, chosen, strict=True):
            console.note(f"{question_set.name}: {len(questions)} of {len(question_set.questions)} questions")
            answers = session.answer(question_set, questions, arms, Shelf(work, question_set))
            part = part_of(answers, arms, checked=checked)
            parts.append(part)
            if not options.json:
                console.block(part_text(part, seed=options.seed, checked=checked))
    for warning in differing_circumstances(parts, code_fingerprint()):
        console.warn(warning)
    if len(parts) > 1 and not options.json:
        console.block(pooled_text(parts, arms, checked=checked))
    summary = {
        "suite": "qa",
        "model": next((r.row.circumstances.get("model") for p in parts for r in p.results), None),
        "systems": [arm.name for arm in arms],
        "seed": options.seed,
        "limit": options.limit,
        "types": list(options.types),
        "codec": choices.settings.codec,
        "threads": choices.settings.threads,
        "code": code_fingerprint(),
        "pairs_read": "shown" if checked else "unchecked",
        "sets": [part_json(part) for part in parts],
        "pooled": pooled_json(parts, arms, checked=checked),
        "versions": versions(),
    }
    if options.report is not None:
        found = chapter([of_part(part) for part in parts], command=line)
        page = page_of(f"Whole documents against chunk-RAG: {summary['model']}", [found])
        console.note(f"report: {write_report(options.report, page, summary)}")
    print(json_line(summary))


def _settings(options: argparse.Namespace) -> Settings:
    settings = settings_from(options)
    if options.codec is None:
        return settings
    if not is_codec_name(options.codec):
        raise UsageError(
            f"unknown codec {options.codec[:40]!r}", subject="--codec", remedy="exact, or k4v4 ..."
        )
    return replace(settings, codec=options.codec)
