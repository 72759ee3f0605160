"""Reading alone: each question of a set is asked with its gold documents pinned.

    python -m eval.gold SET --library DIR [--types single,null] [--limit N] [--no-check]

SET holds `questions*.jsonl` (id, question, answers, gold_docs, type); the library must hold its documents.
For answerable questions an answer counts when it is right and not withheld; questions of type `null`
count when the answer is withheld.  Prints a row per question, a table and one JSON line.
Retrieval is not measured here, because the documents are given.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from beyondrag.engine import Engine
from beyondrag.events import Answer, Done
from beyondrag.settings import settings_from
from beyondrag.turn import AskOptions
from eval.grading import is_right
from library.errors import DocumentNotFound
from library.store import Library

NULL = "null"


@dataclass(frozen=True, slots=True)
class Question:
    """One line of a set."""

    id: str
    question: str
    answers: tuple[str, ...]
    gold_docs: tuple[str, ...]
    type: str


def read_questions(folder: Path) -> Iterator[Question]:
    """The questions of a set, in file order."""
    for path in sorted(folder.glob("questions*.jsonl")):
        for line in path.read_bytes().splitlines():
            row = orjson.loads(line)
            yield Question(
                row["id"], row["question"], tuple(row["answers"]), tuple(row["gold_docs"]), row["type"]
            )


def find_gold(library: Library, name: str) -> str:
    """The id of a gold document; sets name files with or without their suffix.  Raises DocumentNotFound."""
    for guess in (name, f"{name}.txt", f"{name}.md"):
        try:
            return library.find(guess).id
        except DocumentNotFound:
            continue
    return library.find(name).id


def wilson(n_good: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % Wilson score interval of a share (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    p = n_good / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return float(centre - half), float(centre + half)


def ask(engine: Engine, question: Question, options: AskOptions) -> Answer:
    """The engine's answer to one question."""
    for event in engine.ask(question.question, options):
        if isinstance(event, Done):
            return event.answer
    raise AssertionError("the engine always ends with Done")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.gold", description=__doc__.split("\n\n")[0])
    parser.add_argument("set", type=Path)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--codec")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--types", default="", help="comma-separated; all when empty")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--repair", type=int, default=0)
    parser.add_argument("--no-check", action="store_true")
    args = parser.parse_args(argv)
    wanted = set(filter(None, args.types.split(",")))
    questions = [q for q in read_questions(args.set) if not wanted or q.type in wanted]
    questions = questions[: args.limit or None]
    good: dict[str, list[bool]] = defaultdict(list)
    seconds: list[float] = []
    with Library.open(args.library) as library, Engine(settings_from(args), library) as engine:
        for question in questions:
            gold = tuple(find_gold(library, name) for name in question.gold_docs)
            options = AskOptions(
                documents=gold, exact=args.exact, repair_tokens=args.repair, check=not args.no_check
            )
            started = time.perf_counter()
            answer = ask(engine, question, options)
            seconds.append(time.perf_counter() - started)
            right = answer.abstained if question.type == NULL else is_right(answer.answer, question.answers)
            good[question.type].append(right)
            evidence = " | ".join(" ".join(s.quote.split())[:80] for s in answer.sources)
            verdict = "good" if right else "BAD "
            shown = "(withheld)" if answer.abstained else answer.answer
            row = f"{verdict} {question.type:12} {question.question} -> {shown!r} {question.answers}"
            print(f"{row} [{evidence}]", flush=True)
    rows = {kind: (sum(marks), len(marks), *wilson(sum(marks), len(marks))) for kind, marks in good.items()}
    print(f"\n{'type':14} {'good':>5} {'of':>5} {'share':>7}   95 % interval")
    for kind, (n_good, n, low, high) in sorted(rows.items()):
        print(f"{kind:14} {n_good:5} {n:5} {n_good / n:7.3f}   {low:.3f} to {high:.3f}")
    print(f"median {np.median(seconds):.2f} s a question")
    result = {
        k: {"good": g, "n": n, "low": round(lo, 4), "high": round(hi, 4)}
        for k, (g, n, lo, hi) in rows.items()
    }
    print(
        orjson.dumps(
            {"set": args.set.name, "types": result, "median_s": round(float(np.median(seconds)), 3)}
        ).decode()
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
