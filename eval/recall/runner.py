"""Runs the tasks over the arms: one reading of a document, then every kind of cache of it, every question.

The order is documents first, so that a run that is stopped has measured every task about as often.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from beyondrag.prompt import PromptFrame, document_text, make_frame
from eval.command import Progress, silent
from eval.pace import Pace
from eval.recall.arms import EXACT, NO_DOCUMENT, llama_cache
from eval.recall.asking import ReplyLimits, ask
from eval.recall.rows import MAX_REPLY_CHARS, SCHEMA, Row
from eval.recall.samples import Probe, Sample
from eval.recall.scoring import first_wrong, forced_lines
from eval.recall.tasks import Task, fitted_sample
from eval.report import versions
from eval.rig import Rig
from eval.rowfile import RowFile
from kvfiles.runtime import Context
from kvfiles.runtime.model import Model, Tokens
from kvfiles.state_blob import StateView

REPLY_SLACK = 16
"""Tokens that a reply may be longer than the true answer."""
_DRAFT_ROOM = 32
"""Cells for drafted tokens at the end of a reply."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        arms: without EXACT and NO_DOCUMENT, which are always measured.
        samples: documents of each task.
        spot_checks: questions of a forced task (the first ones) for which a reply is generated as well.
    """

    tasks: tuple[Task, ...]
    arms: tuple[str, ...]
    context_tokens: int
    samples: int
    seed: int
    spot_checks: int

    @property
    def all_arms(self) -> tuple[str, ...]:
        return (NO_DOCUMENT, EXACT, *self.arms)


@dataclass(frozen=True, slots=True)
class _Question:
    """A probe as tokens, and whether a reply is generated."""

    probe: Probe
    prompt: Tokens
    answer: Tokens
    generate: bool


@dataclass(frozen=True, slots=True)
class _Job:
    """A document as tokens, the prompt's prefix included, and what is asked about it."""

    task: Task
    index: int
    cached: Tokens
    n_prefix: int
    questions: tuple[_Question, ...]

    @property
    def n_cells(self) -> int:
        """Cells that the longest question needs, its answer included."""
        room = REPLY_SLACK + _DRAFT_ROOM
        return len(self.cached) + max(len(q.prompt) + len(q.answer) for q in self.questions) + room


class Runner:
    """Measures a plan with one model; rows that `rows` already holds are not measured again.

    Args:
        model_sha256: SHA-256 of the model file, in hex; part of every row's key.
    """

    def __init__(
        self, rig: Rig, plan: Plan, rows: RowFile[Row], model_sha256: str, progress: Progress = silent
    ) -> None:
        self._rig = rig
        self._plan = plan
        self._rows = rows
        self._sha256 = model_sha256
        self._progress = progress
        self._build = versions()["llama-cpp-python"]
        self._frame: PromptFrame = make_frame(rig.model, closing="")

    def run(self) -> list[Row]:
        """Measure what is missing; returns the plan's rows, old and new.

        Raises UsageError (a context too small for a task, an unknown codec), ContextOverflow, ModelError,
        StorageError.  Whatever stops it, the rows measured so far are in the file.
        """
        plan = self._plan
        for arm in plan.arms:
            if llama_cache(arm) is None:
                self._rig.codec(arm)
        pace = Pace([task.name for task in plan.tasks], plan.samples * len(plan.all_arms))
        found: list[Row] = []
        with tempfile.TemporaryDirectory(prefix="beyondrag-recall-") as folder:
            for index in range(plan.samples):
                for task in plan.tasks:
                    found += self._job_rows(self._job(task, index), Path(folder) / "sample.kv", pace)
        return found

    # ------------------------------------------------------------------ samples

    def _job(self, task: Task, index: int) -> _Job:
        model, plan = self._rig.model, self._plan
        prefix = self._frame.prefix_tokens(model)
        sample = fitted_sample(
            task,
            plan.seed,
            index,
            plan.context_tokens,
            lambda sample: len(prefix) + len(_document(model, sample)),
        )
        n_generated = plan.spot_checks - index * len(sample.probes) if task.forced else len(sample.probes)
        questions = tuple(
            _Question(
                probe,
                np.concatenate(
                    [self._frame.question_tokens(model, probe.question), model.tokenize(probe.opening)]
                ),
                model.tokenize(probe.answer),
                number < n_generated,
            )
            for number, probe in enumerate(sample.probes)
        )
        cached = np.concatenate([prefix, _document(model, sample)])
        return _Job(task, index, cached, len(prefix), questions)

    # --------------------------------------------------------------------- arms

    def _job_rows(self, job: _Job, path: Path, pace: Pace) -> list[Row]:
        """The rows of every arm; the document is read only if one is missing."""
        keys = {arm: self._keys(job, arm) for arm in self._plan.all_arms}
        missing = [arm for arm, names in keys.items() if any(key not in self._rows.rows for key in names)]
        pace.known(job.task.name, len(keys) - len(missing))
        if missing:
            self._measure(job, path, missing, pace)
        return [self._rows.rows[key] for names in keys.values() for key in names]

    def _measure(self, job: _Job, path: Path, arms: Sequence[str], pace: Pace) -> None:
        stored = [arm for arm in arms if arm != NO_DOCUMENT and llama_cache(arm) is None]
        with self._rig.context(job.n_cells) as context:
            if NO_DOCUMENT in arms:
                context.decode(job.cached[: job.n_prefix], 0, logits="none")
                self._ask_all(context, job, NO_DOCUMENT, None, pace)
                context.clear()
            if stored:
                self._say(job, f"reading {len(job.cached)} tokens")
                context.decode(job.cached, 0, logits="none")
                state = self._rig.state(context)
                for arm in stored:
                    bits = self._attach(context, job, arm, state, path)
                    self._ask_all(context, job, arm, bits, pace)
                del state
        for arm in arms:
            if (cache := llama_cache(arm)) is not None:
                self._say(job, f"reading {len(job.cached)} tokens into a {arm} cache")
                with self._rig.context(job.n_cells, cache.k, cache.v) as context:
                    context.decode(job.cached, 0, logits="none")
                    bits = cache.bits_per_value(self._rig.model.shape)
                    self._ask_all(context, job, arm, bits, pace)

    def _attach(self, context: Context, job: _Job, arm: str, state: StateView, path: Path) -> float:
        """Save the state with a codec, attach it again; returns its bits a value."""
        n_bytes = self._rig.save(path, state, job.cached, 0, self._rig.codec(arm))
        context.clear()
        self._rig.attach(context, [path])
        return self._rig.bits_per_value(n_bytes, len(job.cached))

    def _ask_all(self, context: Context, job: _Job, arm: str, bits: float | None, pace: Pace) -> None:
        scores = []
        for number, key in enumerate(self._keys(job, arm)):
            row = self._rows.rows.get(key)
            if row is None:
                row = self._ask(context, job, number, arm, bits, key)
                self._rows.add(row)
            scores.append(row.score)
        pace.done(job.task.name)
        self._say(job, f"{arm}: {np.mean(scores):.2f}; {pace}")

    def _ask(self, context: Context, job: _Job, number: int, arm: str, bits: float | None, key: str) -> Row:
        task, question, model = job.task, job.questions[number], self._rig.model
        limits = _limits(question) if question.generate else None
        lookup = job.cached if task.forced else job.cached[:0]  # for a few tokens drafts would not pay
        forced, reply = ask(context, question.prompt, question.answer, limits, lookup)
        reply_score = None if reply is None else task.score(question.probe, reply)
        pieces = [model.piece(int(token)) for token in question.answer]
        score = forced_lines(forced.right, pieces) if task.forced else reply_score
        assert score is not None  # only forced tasks go without a reply
        return Row(
            key=key,
            model=model.path.stem,
            model_sha256=self._sha256,
            task=task.name,
            context_tokens=self._plan.context_tokens,
            seed=self._plan.seed,
            sample=job.index,
            probe=number,
            stratum=question.probe.stratum,
            depth=question.probe.depth,
            share=task.share,
            question=question.probe.question,
            answer=question.probe.answer,
            arm=arm,
            bits_per_value=bits,
            cached_tokens=job.n_prefix if arm == NO_DOCUMENT else len(job.cached),
            answer_tokens=len(question.answer),
            score=score,
            nll=float(-forced.logprobs.mean()),
            agreement=float(forced.right.mean()),
            first_wrong=first_wrong(forced.right),
            reply=None if reply is None else reply[:MAX_REPLY_CHARS],
            reply_score=reply_score,
        )

    # --------------------------------------------------------------------- keys

    def _keys(self, job: _Job, arm: str) -> list[str]:
        """A hash for each question of what its outcome depends on: model, tokens read, answer, arm."""
        cached = job.cached[: job.n_prefix] if arm == NO_DOCUMENT else job.cached
        codec = None if arm == NO_DOCUMENT or llama_cache(arm) else self._rig.codec(arm).params()
        common = [
            *(SCHEMA, self._build, self._sha256, arm, codec),
            *(job.task.name, self._plan.context_tokens, self._plan.seed, job.index),
            hashlib.sha256(cached.tobytes()).hexdigest(),
        ]
        return [
            hashlib.sha256(
                orjson.dumps([*common, number, q.prompt.tolist(), q.answer.tolist(), q.generate])
            ).hexdigest()[:32]
            for number, q in enumerate(job.questions)
        ]

    def _say(self, job: _Job, what: str) -> None:
        self._progress(f"{job.task.name} {job.index + 1}/{self._plan.samples}: {what}")


def _document(model: Model, sample: Sample) -> Tokens:
    return model.tokenize(document_text(sample.title, sample.body))


def _limits(question: _Question) -> ReplyLimits:
    """Room for the true answer; a list of several parts may have a line for each and one before them."""
    n_parts = len(question.probe.expected)
    return ReplyLimits(len(question.answer) + REPLY_SLACK, n_parts + 1 if n_parts > 1 else 1)
