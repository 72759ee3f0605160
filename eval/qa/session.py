"""One run over one set: library, ingest, systems codec by codec, answers, figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby

from beyondrag.asking import PROTOCOL_VERSION
from beyondrag.console import Console
from beyondrag.engine import Engine
from beyondrag.settings import Settings
from eval.page import processor
from eval.qa.arms import SEARCHES, Arm, ArmBuilder, Budget
from eval.qa.code import code_fingerprint
from eval.qa.product import GoldFiles
from eval.qa.rows import Row, parse_row
from eval.qa.runner import Task, run
from eval.qa.shelf import IngestCost, Shelf
from eval.qa.summary import result
from eval.qa.systems import Cancelled, asked
from eval.report import versions
from eval.rowfile import RowFile
from eval.sets import Question, QuestionSet
from ingest.indexing import FileOutcome
from kvfiles.codecs import ExactCodec
from kvfiles.errors import CalibrationMissing
from library.calibrations import calibration_of
from library.store import Library


@dataclass(frozen=True, slots=True)
class Choices:
    """What a run does beside its questions and systems.

    With `read_needed` only the documents that the questions can choose are read before; what reading all
    costs is then estimated from the measured rate.  With `redo` what earlier code answered is asked again,
    with `tells` every new answer is told on stderr.
    """

    settings: Settings
    budget: Budget
    read_needed: bool = False
    redo: bool = False
    tells: bool = False


@dataclass(frozen=True, slots=True)
class SetAnswers:
    """The rows of one set, made with `codec` where a system names no other.

    `ingest` is by codec, `chunk_seconds` (to cut and index) by system; both are empty, and `n_documents` is
    None, where only rows are known.
    """

    set: str
    codec: str
    n_documents: int | None
    rows: tuple[Row, ...]
    ingest: dict[str, IngestCost]
    chunk_seconds: dict[str, float]


class Session:
    """Runs sets one after another."""

    def __init__(self, choices: Choices, console: Console, cancelled: Cancelled) -> None:
        self._choices, self._console, self._cancelled = choices, console, cancelled

    def answer(
        self, question_set: QuestionSet, questions: Sequence[Question], arms: Sequence[Arm], shelf: Shelf
    ) -> SetAnswers:
        """Ask `questions` of every arm.

        Raises SetError, EmbedderMissing, Cancelled, model, library and storage errors.
        """
        rows: list[Row] = []
        ingest: dict[str, IngestCost] = {}
        chunk_seconds: dict[str, float] = {}
        with RowFile(shelf.runs, parse_row) as file, self._library(shelf) as library:
            gold = GoldFiles(library)
            for question in questions:
                gold.ids(question)  # whatever is wrong with the set shows before hours of work
            default = self._choices.settings.codec
            for codec, some in groupby(_in_order(arms, default), key=lambda arm: arm.codec or default):
                group = list(some)
                settings = replace(self._choices.settings, codec=codec, hot_cache=0)  # no copies
                with Engine(settings, library) as engine:
                    if any(arm.needs_snapshots for arm in group):
                        _require_codec(engine)
                    task = self._task(engine, question_set, questions, shelf, gold)
                    rows += self._with_engine(engine, task, group, shelf, gold, file)
                    if any(arm.needs_snapshots for arm in group):
                        ingest[codec] = shelf.ingest_cost(engine)
            for arm in arms:
                if arm.base in SEARCHES:
                    chunk_seconds[arm.name] = sum(shelf.chunk_seconds(one) for one in SEARCHES[arm.base])
            n_documents = library.count()
        return SetAnswers(question_set.name, default, n_documents, tuple(rows), ingest, chunk_seconds)

    def _with_engine(
        self,
        engine: Engine,
        task: Task,
        arms: Sequence[Arm],
        shelf: Shelf,
        gold: GoldFiles,
        file: RowFile[Row],
    ) -> list[Row]:
        if any(arm.needs_snapshots for arm in arms):
            self._read(engine, shelf, self._needed(engine, task.questions, gold))
        engine.prepare()
        builder = ArmBuilder(engine, shelf, gold, self._choices.budget)
        systems = [builder.build(arm) for arm in arms]
        _warm_up(engine)
        total = sum(system.applies(question) for system in systems for question in task.questions)
        code = task.circumstances.get("code")
        with self._console.progress(total, "answers") as progress:
            return run(
                task,
                systems,
                file,
                progress=lambda made, missing, what: progress.update(made, total=missing, detail=what),
                cancelled=self._cancelled,
                on_row=self._tell if self._choices.tells else lambda _row: None,
                keep=(lambda row: row.circumstances.get("code") == code)
                if self._choices.redo
                else (lambda _row: True),
            )

    def _task(
        self,
        engine: Engine,
        question_set: QuestionSet,
        questions: Sequence[Question],
        shelf: Shelf,
        gold: GoldFiles,
    ) -> Task:
        settings = engine.settings
        return Task(
            set=question_set.name,
            documents=shelf.fingerprint(engine.library),
            questions=questions,
            gold=gold.ids,
            common={
                "model_sha256": engine.profile.model_sha256,
                "prompt": engine.profile.description["prompt"],
                "protocol": PROTOCOL_VERSION,
                "context": engine.context.n_ctx,
                "cache_type": settings.cache_type,
                "gpu": settings.gpu_layers > 0,
                "max_tokens": self._choices.budget.max_tokens,
            },
            circumstances={
                "model": engine.profile.model_name,
                "processor": processor(),
                "threads": settings.threads,
                "code": code_fingerprint(),
                "versions": versions(),
            },
        )

    def _needed(self, engine: Engine, questions: Sequence[Question], gold: GoldFiles) -> list[str]:
        """The documents to read before: all, or those that the questions can choose."""
        library = engine.library
        if not self._choices.read_needed:
            return [document.id for document in library.documents()]
        found: dict[str, None] = {}
        for question in questions:
            hits = library.search(asked(question), limit=self._choices.budget.top_k, passages=0)
            found |= dict.fromkeys(hit.document.id for hit in hits) | dict.fromkeys(gold.ids(question))
        return list(found)

    def _read(self, engine: Engine, shelf: Shelf, documents: Sequence[str]) -> None:
        with self._console.progress(None, "tokens") as progress:
            shelf.read(
                engine,
                documents,
                lambda name, done, total: progress.update(done, total=total, detail=f"reading {name}"),
                self._cancelled,
            )

    def _tell(self, row: Row) -> None:
        judged = result(row)
        verdict = f"{judged.shown.outcome} (unchecked: {judged.unchecked.outcome})"
        accepted = " | ".join(row.question.answers)
        self._console.note(
            f"{row.system} · {row.question.type} · {verdict}: {row.question.question} -> "
            f"{row.given.answer!r}; accepted: {accepted}; copied: {' | '.join(row.given.copies)}"
        )

    @contextmanager
    def _library(self, shelf: Shelf) -> Iterator[Library]:
        """The set's library; files that cannot be read are named on stderr."""
        with ExitStack() as opened:
            with self._console.progress(None, "files") as progress:

                def on_file(outcome: FileOutcome, done: int, total: int) -> None:
                    progress.update(done, total=total, detail=f"parsing {outcome.path.name}")
                    if outcome.failure is not None:
                        self._console.warn(f"{outcome.path.name}: {outcome.failure.message}")

                library = opened.enter_context(shelf.library(on_file, self._cancelled))
            yield library


def _in_order(arms: Sequence[Arm], default: str) -> list[Arm]:
    """Codec by codec: the default one first, so that its reading is measured, then the exact one, from whose
    snapshots the others are coded."""

    def place(arm: Arm) -> tuple[bool, bool, str]:
        codec = arm.codec or default
        return codec != default, codec != ExactCodec.name, codec

    return sorted(arms, key=place)


def _warm_up(engine: Engine) -> None:
    """Run the model once: the first batches are slow, whichever system they would be counted to."""
    engine.context.clear()
    engine.context.decode(engine.desk.prefix, 0, logits="none")
    engine.context.clear()


def _require_codec(engine: Engine) -> None:
    """Raise CalibrationMissing unless the engine stores in the configured codec; drop the snapshots of before
    that were coded with another calibration."""
    if engine.codec_warning:
        raise CalibrationMissing(
            engine.codec_warning, remedy="run beyondrag models calibrate, or measure another codec"
        )
    wanted = engine.codec.params().get("tables")
    if wanted is None:
        return
    for record in tuple(engine.library.snapshots()):
        if record.profile_id == engine.profile.id and calibration_of(record.path) != wanted:
            engine.library.drop_snapshot(record)
