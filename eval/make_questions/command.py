"""`beyondrag eval make-questions`: questions about one's own documents, to edit and to ask."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from beyondrag.console import Console
from beyondrag.engine import Engine
from beyondrag.interrupts import interruptible
from beyondrag.settings import settings_from
from eval.command import positive, run_command
from eval.make_questions.attempts import Attempt, parse_attempt
from eval.make_questions.checks import Refusal
from eval.make_questions.collection import Collection
from eval.make_questions.drafting import MIN_DOCUMENTS_TO_HIDE, Drafting, Plan, Tally, hidden_documents
from eval.make_questions.examiner import Examiner
from eval.make_questions.question_file import QuestionFile
from eval.make_questions.writer import Writer
from eval.qa.shelf import default_work
from eval.qa.tables import counted
from eval.report import json_line, markdown_table, versions
from eval.rowfile import RowFile
from eval.sets import SetError, documents_of
from eval.stats import share
from ingest.indexing import FileOutcome, index
from library.store import Library

OUT_NAME = "questions-drafted.jsonl"
CONTEXT_TOKENS = 4096
NULL_SHARE = 0.2
TRIES = 10

_EPILOG = f"""\
A statement is drawn, the model writes a question and an answer, and both are checked: the answer stands
word for word in the statement and not in the question; the question names what it is about, is no
duplicate, and fits no other passage as well; the model answers it from its own passage alone.  So the
questions are ones that this model can answer when it is given the right passage: they compare ways of
finding and reading, not models.

Some documents are hidden (field "hidden"): their questions are those that nothing answers.

The file is yours to edit.  Read it: a model wrote it.  What you change or delete stays so, and the same
command adds what is missing to -n.  Then ask:
  beyondrag eval qa FOLDER

Without --out the file is FOLDER/{OUT_NAME}."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    return run_command(lambda: _command(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="beyondrag eval make-questions",
        description="Draft questions with verified answers about the documents of a folder.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="documents, in docs/ or right here")
    add("-n", type=positive, default=30, metavar="N", help="questions in all (default: %(default)s)")
    add("--seed", type=int, default=0, help="of what is asked about (default: %(default)s)")
    add("--out", type=Path, metavar="FILE", help="where questions are written, or added")
    add("--null-share", type=_share, default=NULL_SHARE, metavar="SHARE",
        help="share of questions that nothing answers, 0 to 0.5 (default: %(default)s)")  # fmt: skip
    add("--tries", type=positive, default=TRIES,
        help="statements tried for each question before giving up (default: %(default)s)")  # fmt: skip
    add("--model", help="name of a pulled model or path of a GGUF")
    add("--threads", type=positive, help="CPU threads (default: all cores)")
    add("--work", type=Path, metavar="DIR", help="where it is kept what was tried")
    add("--verbose", action="store_true", help="tell every draft and what became of it on stderr")
    add("--json", action="store_true", help="only the JSON line, no tables")
    return parser


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 0.5:
        raise argparse.ArgumentTypeError("must be from 0 to 0.5")
    return value


def _command(options: argparse.Namespace) -> None:
    started = time.perf_counter()
    folder: Path = options.folder.expanduser().absolute()
    if not folder.is_dir():
        raise SetError(
            "there is no such folder", subject=str(folder), remedy="name the folder of the documents"
        )
    out: Path = (options.out or folder / OUT_NAME).expanduser().absolute()
    work: Path = (options.work or default_work()).expanduser().absolute()
    console = Console(wants_json=options.json)
    n_null = round(options.n * options.null_share)
    with (
        interruptible(lambda: console.note("stopping; questions are kept")) as cancelled,
        RowFile(_attempts_path(work, out), parse_attempt) as attempts,
        tempfile.TemporaryDirectory(prefix="beyondrag-") as scratch,
        Library.create_or_open(Path(scratch) / "library") as library,
    ):
        file = QuestionFile(out)
        _parse(library, documents_of(folder), console, cancelled)
        collection = Collection(library)
        if n_null and len(collection.ids) < MIN_DOCUMENTS_TO_HIDE:
            console.warn(
                f"fewer than {MIN_DOCUMENTS_TO_HIDE} documents: none is hidden, every question has an answer"
            )
            n_null = 0
        hidden = hidden_documents(collection, file, n_null, options.seed)
        plan = Plan({"single": options.n - n_null, "null": n_null}, options.seed, options.tries)
        settings = replace(settings_from(options), library=library.root, context=CONTEXT_TOKENS)
        with Engine(settings, library) as engine:
            model = engine.profile
            drafting = Drafting(
                collection,
                Writer(engine, cancelled),
                Examiner(engine, cancelled),
                file,
                attempts,
                model.model_sha256,
            )
            with console.progress(options.n, "questions") as progress:

                def on_try(title: str, attempt: Attempt | None) -> None:
                    progress.update(len(file.questions), detail=title)
                    if attempt is not None and options.verbose:
                        console.note(f"{attempt.role} · {attempt.refused or 'kept'}: {attempt.written}")

                drafting.run(plan, hidden, on_try, cancelled)
    if not options.json:
        console.block(tally_text(drafting.tally, plan, file))
    console.note(f"questions: {out}")
    missing = sum(max(0, plan.n[role] - file.count(null=role == "null")) for role in plan.n)
    if missing:
        console.warn(
            f"{missing} of {options.n} questions are missing; more statements (--tries) or documents may help"
        )
    print(
        json_line(
            {
                "suite": "make-questions",
                "model": model.model_name,
                "model_sha256": model.model_sha256,
                "file": str(out),
                "documents": len(collection.ids),
                "wanted": plan.n,
                "in_file": {role: file.count(null=role == "null") for role in plan.n},
                "kept": dict(drafting.tally.kept),
                "refused": {
                    role: {str(reason): n for reason, n in counts.items()}
                    for role, counts in drafting.tally.refused.items()
                },
                "seed": options.seed,
                "seconds": round(time.perf_counter() - started, 1),
                "versions": versions(),
            }
        )
    )


def _attempts_path(work: Path, out: Path) -> Path:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", out.parent.name)[:60]
    place = hashlib.sha256(str(out).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return work / "drafts" / f"{name}-{place}.jsonl"


def _parse(library: Library, documents: Path, console: Console, cancelled: Callable[[], bool]) -> None:
    with console.progress(None, "files") as progress, library.writing():

        def on_file(outcome: FileOutcome, done: int, total: int) -> None:
            progress.update(done, total=total, detail=f"parsing {outcome.path.name}")
            if outcome.failure is not None:
                console.warn(f"{outcome.path.name}: {outcome.failure.message}")

        index(library, [documents], on_file=on_file, cancelled=cancelled)


def tally_text(tally: Tally, plan: Plan, file: QuestionFile) -> str:
    """What was kept and what was refused for which reason, as Markdown."""
    rows = []
    for role in plan.n:
        tried = tally.tried(role)
        rows.append(
            [role, str(file.count(null=role == "null")), str(tried), counted(share(tally.kept[role], tried))]
        )
    reasons: Counter[Refusal] = sum(tally.refused.values(), Counter())
    refused = [[str(reason), str(n)] for reason, n in reasons.most_common()]
    parts = [markdown_table(["type", "in the file", "statements tried", "kept of these"], rows)]
    if refused:
        parts.append(markdown_table(["not kept because", "n"], refused))
    return "\n\n".join(["", *parts, ""])
