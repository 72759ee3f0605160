"""The experiment behind the rotated codec's grid, group size, scale and rotation, in NumPy.

::

    python -m eval.grid_arms [--model NAME|PATH] [FILE...] [--bits k4v4] [--arms NAME,NAME]

Each arm changes one thing of the codec as it is.  K and V of a text are coded and decoded by the arm, set
into an f16 context, and scored like a codec in `eval.fidelity`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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
from eval.fidelity import CONTEXT_TOKENS, EVAL_TOKENS, Plan
from eval.grids import SCALE_BITS, Grid, Scale, quantise
from eval.report import json_line, markdown_table, versions
from eval.rig import Rig, forced_logprobs, score_forced
from eval.scores import Summary, TokenScores, bootstrap_interval, join, summarise
from eval.texts import TokenText, measured_texts
from kvfiles.codecs.reference import hadamard, rotate_rows
from kvfiles.positions import RowRope
from kvfiles.runtime.model import ModelShape
from kvfiles.state_blob import BlobLayout, StateView, read_state, write_frame

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Rotation = Literal["none", "stride 8", "full"]

MAX_ROTATION = 128
_BITS = re.compile(r"k([2-8])v([2-8])")


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of coding; the defaults are the codec's own.

    `group` values share a scale; `centred` subtracts the channel means of the document; the first
    `n_sink` tokens stay exact.
    """

    name: str
    grid: Grid = "polynomial"
    group: int = 64
    scale: Scale = "log8"
    rotation: Rotation = "stride 8"
    centred: bool = True
    n_sink: int = 4

    def bits_per_value(self, bits: tuple[int, int], n_tokens: int, shape: ModelShape) -> float:
        """Codes, scales, means and exact tokens over the number of values."""
        n_sink = min(self.n_sink, n_tokens)
        stored = 0.0
        for code_bits, width in zip(bits, (shape.k_width, shape.v_width), strict=True):
            n_group = -(-width // self.group)
            coded = n_group * (self.group * code_bits + SCALE_BITS[self.scale])
            stored += (n_tokens - n_sink) * coded + 16 * width * (n_sink + self.centred)
        return stored / (n_tokens * (shape.k_width + shape.v_width))


ARMS = (
    Arm("the codec"),
    Arm("uniform, largest value", grid="absmax"),
    Arm("uniform, searched scale", grid="searched"),
    Arm("Lloyd-Max", grid="lloyd"),
    Arm("groups of 32", group=32),
    Arm("groups of 128", group=128),
    Arm("f16 scales", scale="f16"),
    Arm("f16 scales, groups of 128", scale="f16", group=128),
    Arm("not rotated", rotation="none"),
    Arm("fully rotated", rotation="full"),
    Arm("not centred", centred=False),
    Arm("no exact tokens", n_sink=0),
)


def code(rows: F32, bits: int, arm: Arm, head_dim: int) -> F32:
    """(n, width) f32 rows, coded and decoded as `arm` says."""
    mean = np.zeros(rows.shape[1], np.float32)
    if arm.centred and len(rows) > arm.n_sink:
        mean = rows[arm.n_sink :].mean(0).astype(np.float16).astype(np.float32)
    size = min(head_dim & -head_dim, MAX_ROTATION)
    stride = 8 if arm.rotation == "stride 8" and size > 8 else 1

    def rotated(x: F32) -> F32:
        return x if arm.rotation == "none" else hadamard(x, size, stride)

    padded = -(-rows.shape[1] // arm.group) * arm.group
    groups = np.zeros((len(rows), padded), np.float32)
    groups[:, : rows.shape[1]] = rotated(rows - mean)
    decoded = quantise(groups.reshape(-1, arm.group), bits, arm.grid, arm.scale).reshape(groups.shape)
    out = rotated(np.ascontiguousarray(decoded[:, : rows.shape[1]])) + mean
    out[: arm.n_sink] = rows[: arm.n_sink]
    return out


def coded_state(state: StateView, rope: RowRope, bits: tuple[int, int], arm: Arm, shape: ModelShape) -> U8:
    """A blob of `state` (positions from 0 on, rotated by `rope`) after `arm` has coded K and V."""
    layout = BlobLayout(state.n_cells, shape.n_layer, shape.k_width, shape.v_width)
    blob = np.empty(layout.size, np.uint8)
    write_frame(layout, state.positions, blob)
    out = read_state(blob, "grid arm")
    for layer in range(shape.n_layer):
        k = rotate_rows(state.k[layer].astype(np.float32), rope.inverse())
        out.k[layer][:] = rotate_rows(code(k, bits[0], arm, shape.k_head_dim), rope)
        out.v[layer][:] = code(state.v[layer].astype(np.float32), bits[1], arm, shape.v_head_dim)
    return blob


@dataclass(frozen=True, slots=True)
class ArmRow:
    """An arm's scores over all texts; `interval` (95 %) is that of the mean divergence."""

    arm: Arm
    bits_per_value: float
    summary: Summary
    interval: tuple[float, float]


def measure_arms(
    rig: Rig,
    texts: Sequence[TokenText],
    arms: Sequence[Arm],
    bits: tuple[int, int],
    plan: Plan,
    progress: Progress = silent,
) -> list[ArmRow]:
    """Score every arm on every text; of `plan` only the numbers of tokens count."""
    scores: dict[str, list[TokenScores]] = {arm.name: [] for arm in arms}
    shape, n = rig.model.shape, plan.context_tokens
    with rig.context(plan.text_tokens) as context:
        for text in texts:
            body, tail = text.tokens[:n], text.tokens[n : plan.text_tokens]
            progress(f"{text.name}: reading {n} tokens")
            context.clear()
            context.decode(body, 0, logits="none")
            reference = forced_logprobs(context, tail)
            state, rope = rig.state(context), rig.tables.at(0, n)
            for arm in arms:
                progress(f"{text.name}: {arm.name}")
                context.clear()
                context.set_state(coded_state(state, rope, bits, arm, shape))
                scores[arm.name].append(score_forced(context, tail, reference))
            del reference  # the next one is as large
    return [
        ArmRow(
            arm,
            arm.bits_per_value(bits, n, shape),
            summarise(join(scores[arm.name])),
            bootstrap_interval([one.kld for one in scores[arm.name]]),
        )
        for arm in arms
    ]


def table(rows: Sequence[ArmRow]) -> str:
    """The rows as Markdown: divergences in thousandths of a nat."""
    header = ["arm", "bits/value", "KLD x1000", "95 % interval", "p99", "same top-1"]
    cells = [
        [
            row.arm.name,
            f"{row.bits_per_value:.2f}",
            f"{1e3 * row.summary.kld_mean:.2f}",
            f"{1e3 * row.interval[0]:.2f}..{1e3 * row.interval[1]:.2f}",
            f"{1e3 * row.summary.kld_p99:.1f}",
            f"{100 * row.summary.same_top1:.1f} %",
        ]
        for row in rows
    ]
    return markdown_table(header, cells)


def chosen_arms(names: Sequence[str]) -> tuple[Arm, ...]:
    """The arms of these names, all when there are none; raises UsageError."""
    known = {arm.name: arm for arm in ARMS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"there is no arm {unknown[0]!r}", remedy=f"choose from: {', '.join(known)}")
    return tuple(known[name] for name in names) or ARMS


def parse_bits(text: str) -> tuple[int, int]:
    """Bits of K and V from `k4v4`; raises UsageError."""
    match = _BITS.fullmatch(text)
    if match is None:
        raise UsageError(f"no bits {text!r}", remedy="use kXvY with X and Y from 2 to 8")
    return int(match[1]), int(match[2])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m eval.grid_arms", description="How to quantise K and V.")
    add_common_arguments(parser)
    parser.add_argument(
        "files", nargs="*", type=Path, help="texts to measure on (default: the example documents)"
    )
    parser.add_argument(
        "--context-tokens", type=positive, default=CONTEXT_TOKENS, help="(default: %(default)s)"
    )
    parser.add_argument("--eval-tokens", type=positive, default=EVAL_TOKENS, help="(default: %(default)s)")
    parser.add_argument("--bits", default="k4v4", help="bits of K and V (default: %(default)s)")
    parser.add_argument("--arms", type=comma_list, default=(), help="only these arms (default: all)")
    options = parser.parse_args(arguments)
    return run_command(lambda: _command(options))


def _command(options: argparse.Namespace) -> None:
    arms, bits = chosen_arms(options.arms), parse_bits(options.bits)
    plan = Plan(options.context_tokens, options.eval_tokens)
    with Rig(resolve_model(options.model), options.threads) as rig:
        texts = measured_texts(rig.model, options.files, plan.text_tokens)
        rows = measure_arms(rig, texts, arms, bits, plan, say)
        name = rig.model.path.stem
    print(f"\n{table(rows)}\n")
    found = [
        {
            **asdict(row.arm),
            "bits_per_value": row.bits_per_value,
            **asdict(row.summary),
            "kld_interval": row.interval,
        }
        for row in rows
    ]
    print(json_line({"model": name, "bits": options.bits, "arms": found, "versions": versions()}))


if __name__ == "__main__":
    sys.exit(main())
