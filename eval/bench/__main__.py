"""The bench as a command.

::

    python -m eval.bench [--model NAME|PATH] [--tokens 4096] [--codec k4v4] [--archive archive] [--no-quality]
        [--no-ttft] [FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.bench.archive import ArchiveBench
from eval.bench.first_token import FirstToken, Prompt, measure_first_token, three_documents
from eval.bench.speed import SpeedResult, measure_speed
from eval.command import add_common_arguments, positive, resolve_model, run_command, say
from eval.fidelity import CONTEXT_TOKENS, Plan, Row, measure
from eval.report import json_line, markdown_table, versions
from eval.rig import Rig
from eval.texts import example_texts, measured_texts, read_texts
from kvfiles.codecs import DEFAULT_CODEC

QUALITY_TOKENS = 192
TTFT_TOKENS = 9600


@dataclass(frozen=True, slots=True)
class Results:
    """What one run found; None for a part that was left out."""

    model: str
    codec: str
    kernels: str
    n_threads: int
    speed: SpeedResult
    quality: Row | None
    first_token: FirstToken | None

    def to_json(self) -> dict[str, Any]:
        """The last line's object: rates in tokens a second, times in seconds, divergences in nats."""
        speed, quality, first = self.speed, self.quality, self.first_token
        n = speed.n_tokens
        return {
            "model": self.model,
            "n_tokens": n,
            "codec": self.codec,
            "bits_per_value": speed.bits_per_value,
            "encode_tokens_per_s": n / speed.encode_s,
            "save_tokens_per_s": n / speed.save_s,
            "attach_tokens_per_s": n / speed.attach_s,
            "llama_load_tokens_per_s": n / speed.llama_load_s,
            "load_over_attach": speed.load_over_attach,
            "kld_mean": quality and quality.summary.kld_mean,
            "kld_p99": quality and quality.summary.kld_p99,
            "same_top1": quality and quality.summary.same_top1,
            "ttft_s": first and first.ttft_s,
            "prefill_ttft_s": first and first.prefill_s,
            "ttft_speedup": first and first.speedup,
            "ttft_tokens": first and first.n_tokens,
            "ttft_same_token": first and first.same_token,
            "prefill_tokens_per_s": n / speed.prefill.bare_s,
            "ingest_overhead_ratio": speed.ingest_overhead_ratio,
            "attach_peak_extra_ratio": speed.attach_peak_extra_ratio,
            "file_bytes": speed.file_bytes,
            "state_bytes": speed.blob_bytes,
            "set_data_s": speed.set_data_s,
            "set_data_floor_s": speed.set_data_floor_s,
            "copy_gb_per_s": speed.copy_bytes_per_s / 1e9,
            "archive": speed.archive and speed.archive.to_json(),
            "kernels": self.kernels,
            "n_threads": self.n_threads,
            "versions": versions(),
        }


def table(results: Results) -> str:
    """The results for people: a time, a rate and a note a line."""
    speed, n = results.speed, results.speed.n_tokens

    def line(what: str, took_s: float, note: str) -> list[str]:
        return [what, f"{1e3 * took_s:,.1f} ms", f"{n / took_s:,.0f}", note]

    ratio = speed.attach_peak_extra_ratio
    memory = "not measured here" if ratio is None else f"adds {ratio:.2f} of the f16 state"
    bandwidth = speed.copy_bytes_per_s / 1e9
    rows = [
        line("prefill, bare llama_decode", speed.prefill.bare_s, "full batches"),
        line("prefill, as ingest does", speed.prefill.sliced_s, "sliced, to be stopped and shown"),
        line("take the state", speed.get_state_s, f"{speed.blob_bytes / 1e6:,.1f} MB of f16"),
        line("encode", speed.encode_s, f"{speed.bits_per_value:.2f} bits/value"),
        line("encode and save", speed.save_s, f"{speed.file_bytes / 1e6:,.1f} MB, synced to disk"),
        line("attach", speed.attach_s, f"{speed.load_over_attach:.2f}x as fast as the next; {memory}"),
        line("llama.cpp's state file", speed.llama_load_s, "llama_state_seq_load_file of the f16 state"),
        line("llama.cpp's set_data alone", speed.set_data_s, "from memory"),
        line("floor: copy the f16 state", speed.set_data_floor_s, f"{bandwidth:.1f} GB/s, one thread"),
    ]
    if speed.archive is not None:
        one = speed.archive
        size = f"{one.bits_per_value:.2f} bits/value, {one.bytes_per_token:,.0f} bytes a token"
        rows.append(line(f"encode with {one.name}", one.encode_s, size))
        rows.append(line(f"attach from {one.name}", one.attach_s, f"{one.file_bytes / 1e6:,.1f} MB"))
    return markdown_table([f"{n} tokens, {results.codec}", "time", "tokens/s", ""], rows, left=(0, 3))


def sentences(results: Results) -> list[str]:
    """What does not fit into the table."""
    speed, quality, first = results.speed, results.quality, results.first_token
    found = [
        f"Model {results.model}, {results.n_threads} threads, kernels {results.kernels}.",
        f"Ingest takes {speed.ingest_overhead_ratio:.3f} times bare llama_decode.",
    ]
    if quality is not None:
        summary = quality.summary
        found.append(
            f"Divergence from the f16 cache: mean {summary.kld_mean:.4f}, "
            f"99th percentile {summary.kld_p99:.4f} nats; "
            f"same likeliest token {100 * summary.same_top1:.1f} % of {summary.n_tokens}."
        )
    if first is not None:
        found.append(
            f"First token after {first.n_tokens} tokens: {first.ttft_s:.3f} s attached "
            f"({first.attach_s:.3f} attach, {first.question_s:.3f} question), "
            f"{first.prefill_s:.1f} s prefilled: {first.speedup:.0f} times faster; "
            f"{'the same' if first.same_token else 'another'} token."
        )
    return found


def run(options: argparse.Namespace) -> Results:
    """Measure what `options` ask for; what cannot be measured is refused before anything is."""
    with Rig(resolve_model(options.model), options.threads) as rig, _scratch() as name:
        folder, codec = Path(name), rig.codec(options.codec)
        tokens = measured_texts(rig.model, options.files, options.tokens)[0].tokens
        plan = Plan(min(CONTEXT_TOKENS, options.tokens), QUALITY_TOKENS, (options.codec,), (), moved=False)
        texts = [] if options.no_quality else measured_texts(rig.model, options.files, plan.text_tokens)[:1]
        prompt = None if options.no_ttft else _prompt(rig, options)
        archive = ArchiveBench(options.archive, rig.codec(options.archive)) if options.archive else None
        speed = measure_speed(
            rig, tokens, codec, repeats=options.repeats, folder=folder, progress=say, archive=archive
        )
        quality = measure(rig, texts, plan, say)[0] if texts else None
        first = None
        if prompt is not None:
            first = measure_first_token(rig, prompt, codec, folder=folder, progress=say)
        return Results(
            rig.model.path.stem, options.codec, rig.kernels.name, rig.n_threads, speed, quality, first
        )


def _prompt(rig: Rig, options: argparse.Namespace) -> Prompt:
    texts = read_texts(options.files) if options.files else example_texts()
    return three_documents(rig.model, texts, options.ttft_tokens)


def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="beyondrag-bench-")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.bench", description="Speed, size and cost of snapshots."
    )
    add_common_arguments(parser)
    parser.add_argument("files", nargs="*", type=Path, help="a long text (default: the example documents)")
    parser.add_argument(
        "--tokens", type=positive, default=4096, help="tokens of the document (default: %(default)s)"
    )
    parser.add_argument(
        "--codec", default=DEFAULT_CODEC, help="exact, or k4v4 and the like (default: %(default)s)"
    )
    parser.add_argument(
        "--archive",
        default="",
        metavar="CODEC",
        help="also measure an archive codec; the model must be calibrated (beyondrag models calibrate)",
    )
    parser.add_argument(
        "--repeats", type=positive, default=7, help="runs behind each median (default: %(default)s)"
    )
    parser.add_argument(
        "--ttft-tokens",
        type=positive,
        default=TTFT_TOKENS,
        help="prompt of three documents (default: %(default)s)",
    )
    parser.add_argument("--no-quality", action="store_true", help="leave the divergence out")
    parser.add_argument("--no-ttft", action="store_true", help="leave the time to the first token out")
    options = parser.parse_args(arguments)
    return run_command(lambda: _command(options))


def _command(options: argparse.Namespace) -> None:
    results = run(options)
    print("\n" + table(results) + "\n\n" + "\n".join(sentences(results)) + "\n")
    print(json_line(results.to_json()))


if __name__ == "__main__":
    sys.exit(main())
