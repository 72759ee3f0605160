"""Hand-made rows of every suite, as they stand in files, for the tests of the report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import orjson
import qa_samples
from compression_rows import measured

from eval.compression.rows import Measured
from eval.drift.rows import Row as DriftRow
from eval.qa.rows import Row as QaRow
from eval.recall.rows import Row as RecallRow
from eval.sets import Question

CIRCUMSTANCES = {
    "model": "tiny",
    "processor": "Zen",
    "threads": 2,
    "code": "c0de",
    "versions": {"python": "3.11.9"},
}
COMMON = {"model_sha256": "a" * 64, "gpu": False}
ANSWERABLE = [Question(f"q{i}", f"Question {i}?", ("48",), ("harbour.txt",), "single") for i in range(8)]
NULLS = [Question(f"n{i}", f"Nobody knows {i}?", (), ("harbour.txt",), "null") for i in range(2)]

_WRONG = {
    "doc": (7,),
    "chunk-bm25": (3, 4, 5, 6, 7),
    "closed-book": (0, 1, 2, 3, 4, 5, 6, 7),
}
"""Which of the answerable questions each system answers wrongly."""


def qa_row(question: Question, system: str, answer: str, name: str = "harbours", **changes: Any) -> QaRow:
    row = qa_samples.row(question, system, answer, **changes)
    return replace(
        row,
        key=f"{name}/{row.key}",
        set=name,
        parameters={**COMMON, "system": system},
        circumstances=CIRCUMSTANCES,
    )


def qa_rows(name: str = "harbours") -> list[QaRow]:
    """doc: 7 right, 1 hallucinated, both nulls withheld; chunk-bm25: 3 right, 5 and both nulls hallucinated;
    closed-book: 8 and both nulls hallucinated."""
    rows = []
    for system, wrong in _WRONG.items():
        more: dict[str, Any] = {}
        if system == "closed-book":
            more = {"supported": None, "texts": (), "ranked": None, "copies": ()}
        for i, question in enumerate(ANSWERABLE):
            rows.append(qa_row(question, system, "fifty" if i in wrong else "48", name, **more))
        for question in NULLS:
            answer = "not stated" if system == "doc" else "Smith"
            rows.append(qa_row(question, system, answer, name, **more))
    return rows


def of_nulls(*systems: str) -> list[QaRow]:
    """Questions without an answer: the first of `systems` withholds, the others invent."""
    return [
        qa_row(question, system, "not stated" if system == systems[0] else "Smith")
        for question in NULLS
        for system in systems
    ]


def drift_row(arm: str, number: int, *, kept: bool) -> DriftRow:
    return DriftRow(
        key=f"{arm}-{number}",
        case=f"case {number}",
        model="tiny",
        model_sha256="a" * 64,
        library="0.3.36",
        max_tokens=48,
        arm=arm,
        bits_per_value=16.0 if arm == "f16" else 4.25,
        rotated=None,
        document=f"d{number % 3}",
        probe=f"d{number % 3}/p{number}",
        kind="fact" if number % 2 else "format",
        n_document_tokens=99,
        requests=(f"Request {number}",),
        replies=(f"{arm} says {number}",),
        tokens=((1, 2, 3),),
        kept=(kept,),
        divergence=None if arm == "f16" or kept else (0, 1),
        kld=() if arm == "f16" else (0.01, 0.03),
        n_same_top1=0 if arm == "f16" else 2,
    )


def drift_rows() -> list[DriftRow]:
    """Of 16 probes f16 keeps all, k4v4 all but one, q4_0 five."""
    rows = [drift_row("f16", i, kept=True) for i in range(16)]
    rows += [drift_row("k4v4", i, kept=i != 3) for i in range(16)]
    return rows + [drift_row("q4_0", i, kept=i < 5) for i in range(16)]


def recall_row(arm: str, task: str, sample: int, probe: int, score: float) -> RecallRow:
    return RecallRow(
        key=f"{arm}/{task}/{sample}/{probe}",
        model="tiny",
        model_sha256="a" * 64,
        task=task,
        context_tokens=4096,
        seed=0,
        sample=sample,
        probe=probe,
        stratum=f"depth {probe}",
        depth=0.1,
        share=True,
        question="?",
        answer="!",
        arm=arm,
        bits_per_value=None if arm == "no document" else 4.0,
        cached_tokens=4000,
        answer_tokens=2,
        score=score,
        nll=1.0 - score / 2,
        agreement=score,
        first_wrong=0,
        reply="x",
        reply_score=score,
    )


_SCORES = {"exact": 6, "no document": 0, "k8v8": 6, "k8v4": 6, "k4v8": 6, "k4v4": 6, "k8v2": 6, "k4v2": 6}


def recall_rows(tasks: Iterable[str] = ("keys",)) -> list[RecallRow]:
    """Six documents of two questions: all right but with 2 bits of K, and without a document."""
    arms = [*_SCORES, "k2v8", "k2v4", "k2v2"]
    return [
        recall_row(arm, task, sample, probe, 1.0 if _SCORES.get(arm) == 6 and sample != probe else 0.0)
        for task in tasks
        for arm in arms
        for sample in range(6)
        for probe in range(2)
    ]


def fidelity_rows() -> list[Measured]:
    return [
        measured("k4v4"),
        measured("k8v8", seed=2, bits=8.3),
        measured("q8_0", seed=3, family="llama.cpp"),
    ]


class Jsonable(Protocol):
    def to_json(self) -> dict[str, Any]: ...


def write_rows(path: Path, rows: Iterable[Jsonable]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row.to_json()) + b"\n" for row in rows))
    return path
