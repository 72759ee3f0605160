"""The experiment behind the rotated codec's grid, group size, scale and rotation, in NumPy.

::

    python -m eval.grid_arms [--model NAME|PATH] [FILE...] [--bits k4v4] [--arms NAME,NAME] [--out ROWS.jsonl]

Each arm changes one thing of the codec as it is.  K and V of a text are coded and decoded by the arm, set
into an f16 context, and scored like a codec in `eval.fidelity`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from beyondrag.errors import UsageError
from beyondrag.models import ModelStore, default_root
from eval.command import add_common_arguments, comma_list, positive, resolve_model, run_command, say
from eval.compression.arms import Arm
from eval.compression.coders import Rotated
from eval.compression.plan import CONTEXT_TOKENS, EVAL_TOKENS, Plan
from eval.compression.rows import Measured, combine
from eval.compression.run import NOT_HASHED, Run
from eval.compression.tables import row_line, table
from eval.report import json_line, versions
from eval.rig import Rig
from eval.rowfile import RowFile
from eval.texts import measured_texts

_BITS = re.compile(r"k([2-8])v([2-8])")

_CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("the codec", {}),
    ("uniform by the largest value", {"grid": "absmax"}),
    ("uniform with a searched scale", {"grid": "searched"}),
    ("Lloyd-Max", {"grid": "lloyd"}),
    ("groups of 32", {"group": 32}),
    ("groups of 128", {"group": 128}),
    ("f16 scales", {"scale": "f16"}),
    ("f16 scales and groups of 128", {"scale": "f16", "group": 128}),
    ("not rotated", {"rotation": "none"}),
    ("fully rotated", {"rotation": "full"}),
    ("not centred", {"centred": False}),
)
"""Names, and what of `Rotated` is different."""


def grid_arms(bits: tuple[int, int]) -> tuple[Arm, ...]:
    """Every arm with `bits` for K and for V."""
    k_bits, v_bits = bits
    arms = tuple(Arm(name, Rotated(k_bits, **how), Rotated(v_bits, **how)) for name, how in _CHANGES)
    return (*arms, Arm("no exact tokens", Rotated(k_bits), Rotated(v_bits), n_sink=0))


def chosen_arms(names: Sequence[str], bits: tuple[int, int]) -> tuple[Arm, ...]:
    """The arms of these names, all when there are none; raises UsageError."""
    known = {arm.name: arm for arm in grid_arms(bits)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"there is no arm {unknown[0]!r}", remedy=f"choose from: {', '.join(known)}")
    return tuple(known[name] for name in names) or tuple(known.values())


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
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep rows in this file and go on from it")
    options = parser.parse_args(arguments)
    return run_command(lambda: _command(options))


def _command(options: argparse.Namespace) -> None:
    arms = chosen_arms(options.arms, parse_bits(options.bits))
    plan = Plan(options.context_tokens, options.eval_tokens, (), (), moved=False, arms=arms)
    path = resolve_model(options.model)
    sha256 = ModelStore(default_root()).sha256(path) if options.out else NOT_HASHED
    with ExitStack() as stack:
        rig = stack.enter_context(Rig(path, options.threads))
        file = stack.enter_context(RowFile(options.out, Measured.from_json)) if options.out else None
        run = Run(rig, model_sha256=sha256, file=file, progress=say, on_row=lambda row: say(row_line(row)))
        texts = measured_texts(rig.model, options.files, plan.text_tokens)
        rows = combine(run.measure(texts, plan))
        name = rig.model.path.stem
    print(f"\n{table(rows)}\n")
    found = [row.to_json() for row in rows]
    print(json_line({"model": name, "bits": options.bits, "arms": found, "versions": versions()}))


if __name__ == "__main__":
    sys.exit(main())
