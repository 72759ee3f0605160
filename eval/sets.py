"""Question sets: a folder of documents and `questions*.jsonl`.

::

    SET/docs/            documents of any kind that can be ingested (or SET/documents/, or else SET itself)
    SET/questions*.jsonl one object a line: id, question, answers, gold_docs, type;
                         optional: options (multiple choice), plausible (wrong answers that tempt),
                         hidden (documents that are left out of the set, so that nothing answers)

`type` groups questions in reports.  Questions of type `null` are answered by no document.  What one question
hides is hidden from all: a set has one library, and every system searches the same documents.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from beyondrag.turn import MAX_QUESTION_CHARS
from eval.grading import LETTERS, chosen_option
from kvfiles.errors import BeyondragError
from library.wording import one_line

NULL = "null"

MAX_FILE_BYTES = 256 << 20
MAX_QUESTIONS = 1_000_000
MAX_TEXT_CHARS = 4000
MAX_ITEMS = 1000
MAX_OPTIONS = 12
"""More options than that cannot be asked about in one short question."""

_FOLDERS = ("docs", "documents")


class SetError(BeyondragError):
    """A question set cannot be used; `subject` names the file and line."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Question:
    """One question.  `gold_docs` are file names, with or without suffix, that the answer needs; `hidden`
    those of documents that must not be there when it is asked."""

    id: str
    question: str
    answers: tuple[str, ...]
    gold_docs: tuple[str, ...]
    type: str
    options: tuple[str, ...] = ()
    plausible: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def is_null(self) -> bool:
        return self.type == NULL


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """A set with all its questions; `documents` is the folder to ingest."""

    name: str
    folder: Path
    documents: Path
    questions: tuple[Question, ...]

    @property
    def hidden(self) -> tuple[str, ...]:
        """The documents that some question hides, each once."""
        return tuple(dict.fromkeys(name for question in self.questions for name in question.hidden))


def read_set(folder: Path, files: Sequence[Path] = ()) -> QuestionSet:
    """Read and check the set in `folder`, with the questions of `files` instead of its own if there are any.

    Raises:
        SetError: the folder, a file or a line is not what a set holds.
    """
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise SetError("there is no such folder", subject=str(folder), remedy="name the folder of a set")
    questions: dict[str, Question] = {}
    for path in files or sorted(folder.glob("questions*.jsonl")):
        for question, where in _questions(path):
            if question.id in questions:
                raise SetError(f"the id {question.id!r} is there twice", subject=where)
            questions[question.id] = question
            if len(questions) > MAX_QUESTIONS:
                raise SetError(f"more than {MAX_QUESTIONS:,} questions", subject=str(folder))
    if not questions:
        raise SetError(
            "the set has no questions",
            subject=str(folder),
            remedy="write questions.jsonl, or draft it with `beyondrag eval make-questions`",
        )
    name = one_line(folder.name, 60) or "set"
    return QuestionSet(name, folder, documents_of(folder), tuple(questions.values()))


def documents_of(folder: Path) -> Path:
    """The folder that holds the documents of the set in `folder`: its docs/ or documents/, or itself."""
    return next((folder / name for name in _FOLDERS if (folder / name).is_dir()), folder)


def read_questions(path: Path) -> list[Question]:
    """The questions of one file; raises SetError."""
    return [question for question, _ in _questions(path)]


def sample(
    questions: Sequence[Question], *, limit: int | None = None, seed: int = 0, types: Iterable[str] = ()
) -> list[Question]:
    """Up to `limit` questions (all when None), of these `types` (all when empty), in set order.

    A sample holds the types in the shares that they have in the set (largest remainders, at least one of
    each type while the limit allows).  A smaller sample with the same seed is part of a larger one
    up to that rounding, so that runs can be extended.

    Raises:
        SetError: a type does not occur.
    """
    wanted = set(types)
    unknown = wanted - {question.type for question in questions}
    if unknown:
        known = ", ".join(sorted({question.type for question in questions}))
        raise SetError(f"no question has the type {sorted(unknown)[0]!r}", remedy=f"types here: {known}")
    kept = [question for question in questions if not wanted or question.type in wanted]
    if limit is None or limit >= len(kept):
        return kept
    quotas = _quotas(Counter(question.type for question in kept), limit)
    order = sorted(kept, key=lambda q: hashlib.sha256(f"{seed}\0{q.id}".encode()).digest())
    chosen: set[str] = set()
    for question in order:
        if quotas[question.type] > 0:
            quotas[question.type] -= 1
            chosen.add(question.id)
    return [question for question in kept if question.id in chosen]


def _quotas(counts: Counter[str], limit: int) -> dict[str, int]:
    """`limit` places given to types by their shares; every type gets one while there are enough."""
    total = sum(counts.values())
    exact = {kind: limit * n / total for kind, n in counts.items()}
    quotas = {kind: min(counts[kind], max(int(share), 1)) for kind, share in exact.items()}
    order = sorted(counts, key=lambda kind: (quotas[kind] - exact[kind], -counts[kind], kind))
    while sum(quotas.values()) < limit:
        kind = min(
            (k for k in order if quotas[k] < counts[k]), key=lambda k: (quotas[k] - exact[k], -counts[k], k)
        )
        quotas[kind] += 1
    while sum(quotas.values()) > limit:
        spare = [k for k in order if quotas[k] > 1] or [k for k in order if quotas[k] > 0]
        kind = max(spare, key=lambda k: (quotas[k] - exact[k], -counts[k], k))
        quotas[kind] -= 1
    return quotas


def _questions(path: Path) -> Iterable[tuple[Question, str]]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SetError(f"larger than {MAX_FILE_BYTES >> 20} MiB", subject=str(path))
        data = path.read_bytes()
    except OSError as error:
        raise SetError(f"cannot be read: {error.strerror}", subject=str(path)) from error
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise SetError(f"not valid JSON: {error}", subject=where) from error
        if not isinstance(row, dict):
            raise SetError("not a JSON object", subject=where)
        yield _question(row, where), where


def _question(row: dict[str, Any], where: str) -> Question:
    question = Question(
        id=_text(row, "id", where),
        question=" ".join(_text(row, "question", where).split()),
        answers=_texts(row, "answers", where),
        gold_docs=_texts(row, "gold_docs", where),
        type=one_line(_text(row, "type", where), 40),
        options=_options(row, where),
        plausible=_texts(row, "plausible", where),
        hidden=_texts(row, "hidden", where),
    )
    if len(question.question) > MAX_QUESTION_CHARS:
        raise SetError(f"the question has more than {MAX_QUESTION_CHARS:,} characters", subject=where)
    if question.is_null:
        return question
    if not question.answers:
        raise SetError("a question that is not of type null needs answers", subject=where)
    if question.options and all(chosen_option(a, question.options) is None for a in question.answers):
        raise SetError("no answer is one of the options", subject=where)
    return question


def _text(row: dict[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise SetError(f"{name!r} must be a text that is not empty", subject=where)
    if len(value) > MAX_TEXT_CHARS:
        raise SetError(f"{name!r} has more than {MAX_TEXT_CHARS:,} characters", subject=where)
    return value.strip()


def _texts(row: dict[str, Any], name: str, where: str) -> tuple[str, ...]:
    value = row.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SetError(f"{name!r} must be a list of texts", subject=where)
    if len(value) > MAX_ITEMS or any(len(item) > MAX_TEXT_CHARS for item in value):
        raise SetError(f"{name!r} is too long", subject=where)
    return tuple(item.strip() for item in value if item.strip())


def _options(row: dict[str, Any], where: str) -> tuple[str, ...]:
    """A list of texts, or an object from the letters A, B, ... to texts."""
    value = row.get("options") or []
    if isinstance(value, dict):
        letters = sorted(value)
        if letters != list(LETTERS[: len(letters)]):
            raise SetError("the keys of 'options' must be A, B, C, ...", subject=where)
        value = [value[letter] for letter in letters]
    options = _texts({"options": value}, "options", where)
    if len(options) != len(value) or len(options) > MAX_OPTIONS or len(options) == 1:
        raise SetError(f"'options' must be 2 to {MAX_OPTIONS} texts that are not empty", subject=where)
    return options
