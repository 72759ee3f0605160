"""What a compressed cache costs: divergence of the next-token distribution from that of the untouched one.

::

    python -m eval.fidelity [--model NAME|PATH] [FILE...] [--codecs exact,k4v4] [--llama q8_0,q8_0/q4_0]

For each text an f16 context reads `--context-tokens` tokens once; the log-probabilities along the
next `--eval-tokens` tokens of the text are the reference.  Then the same tokens are scored behind

- every codec: saved to a file, attached from it into an empty sequence, at its own position;
- "f16 moved": the exact codec attached behind other tokens, against a fresh prefill at that position.
  Nothing but rounding differs, so this is the noise floor;
- llama.cpp's own quantised caches (K, or K/V), with the text read into them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from beyondrag.errors import UsageError
from eval.command import (
    Progress,
    add_common_arguments,
    comma_list,
    positive,
    resolve_model,
    run_command,
    say,
    silent,
)
from eval.report import json_line, markdown_table, versions
from eval.rig import F32, Rig, forced_logprobs, score_forced
from eval.scores import Summary, TokenScores, bootstrap_interval, join, summarise
from eval.texts import TokenText, measured_texts
from kvfiles.runtime import Context
from kvfiles.runtime.context import CacheType
from kvfiles.runtime.model import Tokens

CONTEXT_TOKENS = 2560
EVAL_TOKENS = 384
CODECS = ("exact", "k8v8", "k5v4", "k4v4", "k4v3", "k3v3")
LLAMA_CACHES = ("q8_0", "q5_0", "q4_0", "q8_0/q4_0")
MOVED = "f16 moved"
MOVED_BY = 64
"""Tokens that stand before the moved snapshot."""

LLAMA_BITS = {"f16": 16.0, "q8_0": 8.5, "q5_0": 5.5, "q4_0": 4.5}
"""Bits a value of ggml's types: blocks of 32 values with an f16 scale."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure; `moved` adds the noise floor, which costs a second prefill of each text."""

    context_tokens: int = CONTEXT_TOKENS
    eval_tokens: int = EVAL_TOKENS
    codecs: tuple[str, ...] = CODECS
    llama: tuple[str, ...] = LLAMA_CACHES
    moved: bool = True

    @property
    def text_tokens(self) -> int:
        """Tokens that a text must have: the context, the evaluated ones, and the last one's successor."""
        return self.context_tokens + self.eval_tokens + 1


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of cache: `summary` over all texts, `interval` (95 %) of its mean divergence, each text's own.

    In `summary` the percentile and the worst are those of all tokens together.
    """

    name: str
    bits_per_value: float
    summary: Summary
    interval: tuple[float, float]
    texts: tuple[Summary, ...]

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "bits_per_value": self.bits_per_value,
            **asdict(self.summary),
            "kld_interval": list(self.interval),
            "texts": [asdict(text) for text in self.texts],
        }


@dataclass(frozen=True, slots=True)
class _Case:
    """The tokens read, the tokens scored, and the f16 cache's log-probabilities along those."""

    body: Tokens
    tail: Tokens
    reference: F32


class _Tally:
    """Scores by kind of cache, in the order in which they first came."""

    def __init__(self) -> None:
        self._scores: dict[str, list[TokenScores]] = {}
        self._bits: dict[str, list[float]] = {}

    def add(self, name: str, bits: float, scores: TokenScores) -> None:
        self._scores.setdefault(name, []).append(scores)
        self._bits.setdefault(name, []).append(bits)

    def rows(self) -> list[Row]:
        return [
            Row(
                name,
                float(np.mean(self._bits[name])),
                summarise(join(scores)),
                bootstrap_interval([one.kld for one in scores]),
                tuple(summarise(one) for one in scores),
            )
            for name, scores in self._scores.items()
        ]


def measure(rig: Rig, texts: Sequence[TokenText], plan: Plan, progress: Progress = silent) -> list[Row]:
    """Measure every cache of `plan` on `texts`, each of at least `plan.text_tokens` tokens.

    Raises UsageError for an unknown codec or cache, ContextOverflow, StorageError.
    """
    for name in plan.codecs:
        rig.codec(name)
    caches = {name: parse_cache(name) for name in plan.llama}
    tally = _Tally()
    with tempfile.TemporaryDirectory(prefix="beyondrag-fidelity-") as folder:
        for text in texts:
            body = text.tokens[: plan.context_tokens]
            tail = text.tokens[plan.context_tokens : plan.text_tokens]
            with rig.context(plan.text_tokens + MOVED_BY) as context:
                progress(f"{text.name}: reading {len(body)} tokens")
                context.decode(body, 0, logits="none")
                case = _Case(body, tail, forced_logprobs(context, tail))
                _measure_codecs(rig, context, case, plan.codecs, Path(folder), tally)
                for name, kinds in caches.items():
                    progress(f"{text.name}: reading into a {name} cache")
                    tally.add(f"llama.cpp {name}", _llama_bits(rig, kinds), _score_llama(rig, case, kinds))
                del case  # the next reference is as large
                if plan.moved:
                    progress(f"{text.name}: reading {len(body)} tokens at position {MOVED_BY}")
                    tally.add(MOVED, 16.0, _score_moved(rig, context, body, tail, Path(folder)))
    return tally.rows()


def parse_cache(name: str) -> tuple[CacheType, CacheType]:
    """The types of K and V that `q8_0` or `q8_0/q4_0` means; raises UsageError."""
    k, slash, v = name.partition("/")
    known: tuple[CacheType, ...] = get_args(CacheType)
    kinds = [kind for wanted in (k, v if slash else k) for kind in known if kind == wanted]
    if len(kinds) != 2:
        raise UsageError(f"unknown cache {name!r}", remedy=f"use one of {', '.join(known)}, or two as K/V")
    return kinds[0], kinds[1]


def _measure_codecs(
    rig: Rig, context: Context, case: _Case, names: Sequence[str], folder: Path, tally: _Tally
) -> None:
    state = rig.state(context)
    for name in names:
        path = folder / "text.kv"
        n_bytes = rig.save(path, state, case.body, 0, rig.codec(name))
        context.clear()
        rig.attach(context, [path])
        scores = score_forced(context, case.tail, case.reference)
        tally.add(name, rig.bits_per_value(n_bytes, len(case.body)), scores)


def _score_llama(rig: Rig, case: _Case, kinds: tuple[CacheType, CacheType]) -> TokenScores:
    with rig.context(len(case.body) + len(case.tail), *kinds) as context:
        context.decode(case.body, 0, logits="none")
        return score_forced(context, case.tail, case.reference)


def _llama_bits(rig: Rig, kinds: tuple[CacheType, CacheType]) -> float:
    shape = rig.model.shape
    k, v = (LLAMA_BITS[kind] for kind in kinds)
    return (k * shape.k_width + v * shape.v_width) / (shape.k_width + shape.v_width)


def _score_moved(rig: Rig, context: Context, body: Tokens, tail: Tokens, folder: Path) -> TokenScores:
    """Exact snapshots against a fresh prefill, both alone in the sequence from position MOVED_BY on."""
    filler, path = folder / "filler.kv", folder / "text.kv"
    exact = rig.codec("exact")
    before = np.resize(body, MOVED_BY)
    context.clear()
    context.decode(before, 0, logits="none")
    rig.save(filler, rig.state(context), before, 0, exact)
    context.clear()
    context.decode(body, 0, logits="none")
    rig.save(path, rig.state(context), body, 0, exact)
    context.clear()
    context.decode(body, MOVED_BY, logits="none")
    reference = forced_logprobs(context, tail)
    context.clear()
    rig.attach(context, [filler, path])
    context.remove(0, 0, MOVED_BY)
    return score_forced(context, tail, reference)


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown: divergences in thousandths of a nat."""
    header = [
        "cache",
        "bits/value",
        "vs f16",
        "KLD x1000",
        "95 % interval",
        "p99",
        "worst",
        "same top-1",
        "PPL",
    ]
    cells = [
        [
            row.name,
            f"{row.bits_per_value:.2f}",
            f"{16 / row.bits_per_value:.1f}x",
            f"{1e3 * row.summary.kld_mean:.2f}",
            f"{1e3 * row.interval[0]:.2f}..{1e3 * row.interval[1]:.2f}",
            f"{1e3 * row.summary.kld_p99:.1f}",
            f"{1e3 * row.summary.kld_max:.1f}",
            f"{100 * row.summary.same_top1:.1f} %",
            f"{100 * row.summary.ppl_change:+.2f} %",
        ]
        for row in rows
    ]
    return markdown_table(header, cells)


def text_table(rows: Sequence[Row], texts: Sequence[TokenText]) -> str:
    """Each text's mean divergence as Markdown, in thousandths of a nat."""
    cells = [[row.name, *(f"{1e3 * one.kld_mean:.2f}" for one in row.texts)] for row in rows]
    return markdown_table(["KLD x1000", *(text.name for text in texts)], cells)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.fidelity", description="What a compressed cache costs."
    )
    add_common_arguments(parser)
    parser.add_argument(
        "files", nargs="*", type=Path, help="texts to measure on (default: the example documents)"
    )
    parser.add_argument(
        "--context-tokens", type=positive, default=CONTEXT_TOKENS, help="(default: %(default)s)"
    )
    parser.add_argument("--eval-tokens", type=positive, default=EVAL_TOKENS, help="(default: %(default)s)")
    parser.add_argument("--codecs", type=comma_list, default=CODECS, help=f"(default: {','.join(CODECS)})")
    parser.add_argument(
        "--llama",
        type=comma_list,
        default=LLAMA_CACHES,
        help=f"llama.cpp's caches (default: {','.join(LLAMA_CACHES)})",
    )
    parser.add_argument("--no-moved", action="store_true", help="leave the noise floor out")
    parser.add_argument("--json", action="store_true", help="only the JSON line, no table")
    options = parser.parse_args(arguments)
    return run_command(lambda: _command(options))


def _command(options: argparse.Namespace) -> None:
    plan = Plan(
        options.context_tokens, options.eval_tokens, options.codecs, options.llama, not options.no_moved
    )
    with Rig(resolve_model(options.model), options.threads) as rig:
        texts = measured_texts(rig.model, options.files, plan.text_tokens)
        rows = measure(rig, texts, plan, say)
        if not options.json:
            print(f"\n{table(rows)}\n\n{text_table(rows, texts)}\n")
        summary = {
            "model": rig.model.path.stem,
            "context_tokens": plan.context_tokens,
            "eval_tokens": plan.eval_tokens,
            "texts": [text.name for text in texts],
            "rows": [row.to_json() for row in rows],
            "kernels": rig.kernels.name,
            "versions": versions(),
        }
    print(json_line(summary))


if __name__ == "__main__":
    sys.exit(main())
