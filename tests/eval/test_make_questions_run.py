"""Drafting with a scripted model: what is kept, what is hidden, what a later run takes up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from eval.make_questions.attempts import Attempt, parse_attempt
from eval.make_questions.checks import Refusal
from eval.make_questions.collection import Collection
from eval.make_questions.drafting import Drafting, Plan, Tally, hidden_documents
from eval.make_questions.question_file import QuestionFile
from eval.rowfile import RowFile
from eval.sets import SetError, read_set
from ingest.indexing import index
from kvfiles.errors import Cancelled, ContextOverflow
from library.store import Library

PLACES = ("Ardmore", "Brackley", "Culross", "Dunbar", "Elgin", "Forres", "Gairloch")
KEEPERS = ("Ada Moss", "Ben Oke", "Cyd Hall", "Dov Katz", "Eva Lind", "Flo Reed", "Gus Vane")


def statement(place: str) -> str:
    return f"The harbour of {place} is kept by {KEEPERS[PLACES.index(place)]}, as before."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "harbours"
    made.mkdir()
    for place in PLACES:
        (made / f"{place.lower()}.txt").write_text(f"{place} report\n\n{statement(place)}\n")
    return made


@pytest.fixture
def library(folder: Path, tmp_path: Path) -> Iterator[Library]:
    with Library.create_or_open(tmp_path / "library") as opened:
        with opened.writing():
            index(opened, [folder])
        yield opened


class Script:
    """Writer and examiner: writes what `draft` gives for a statement, answers what a passage says."""

    def __init__(self) -> None:
        self.drafted: list[str] = []
        self.examined: list[str] = []
        self.write: Callable[[str], tuple[str, str]] = self.good
        self.knows = True

    @staticmethod
    def good(said: str) -> tuple[str, str]:
        place, keeper = (
            said.split(" of ")[1].split(" is ", maxsplit=1)[0],
            said.split(" by ")[1].split(",", maxsplit=1)[0],
        )
        return f"Who keeps the harbour of {place}?", keeper

    def draft(self, title: str, passage: str, said: str) -> tuple[str, str]:
        assert said in passage
        self.drafted.append(said)
        return self.write(said)

    def answer(self, question: str, title: str, passage: str) -> str | None:
        self.examined.append(passage)
        return passage.split(" by ")[1].split(",", maxsplit=1)[0] if self.knows else None


Run = Callable[..., Tally]


@pytest.fixture
def run(library: Library, folder: Path, tmp_path: Path) -> Run:
    def draft(script: Script, n: int = 4, n_null: int = 0, stop_after: int = 99, seed: int = 0) -> Tally:
        collection = Collection(library)
        file = QuestionFile(folder / "questions-drafted.jsonl")
        plan = Plan({"single": n, "null": n_null}, seed, tries=10)
        hidden = hidden_documents(collection, file, n_null, seed)
        with RowFile(tmp_path / "attempts.jsonl", parse_attempt) as attempts:
            drafting = Drafting(collection, script, script, file, attempts, "sha")
            drafting.run(plan, hidden, lambda _t, _a: None, lambda: len(script.drafted) >= stop_after)
        return drafting.tally

    return draft


def rows(folder: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in (folder / "questions-drafted.jsonl").read_bytes().splitlines()]


def test_kept_questions_are_a_set_that_can_be_asked(run: Run, folder: Path) -> None:
    tally = run(Script(), n=4, n_null=1)
    assert (tally.kept["single"], tally.kept["null"]) == (4, 1)
    found = read_set(folder)
    assert found.documents == folder
    for question in found.questions:
        place = question.question.split(" of ")[1].rstrip("?")
        if question.is_null:
            assert (question.gold_docs, question.answers) == ((), ())
            assert question.hidden == (f"{place.lower()}.txt",) == found.hidden
        else:
            assert question.gold_docs == (f"{place.lower()}.txt",)
            assert question.answers[0] in statement(place)
            assert question.gold_docs[0] not in found.hidden
    for row in rows(folder):
        assert row["quote"] == statement(str(row["quote"]).split(" of ")[1].split(" is ")[0])


def test_the_same_seed_gives_the_same_file(run: Run, folder: Path, tmp_path: Path) -> None:
    contents = []
    for seed in (1, 1, 2):
        run(Script(), seed=seed)
        contents.append((folder / "questions-drafted.jsonl").read_bytes())
        (folder / "questions-drafted.jsonl").unlink()
        (tmp_path / "attempts.jsonl").unlink()
    assert contents[0] == contents[1] != contents[2]


def test_a_stopped_run_goes_on_and_asks_the_model_nothing_twice(run: Run, folder: Path) -> None:
    script = Script()
    with pytest.raises(Cancelled):
        run(script, n=5, stop_after=2)
    assert len(rows(folder)) == 2
    tally = run(script, n=5)
    assert tally.kept["single"] == 5
    assert len(rows(folder)) == len(script.drafted) == len(set(script.drafted)) == 5
    run(script, n=5)
    assert len(script.drafted) == 5


def test_what_a_person_changed_or_deleted_stays_so(run: Run, folder: Path) -> None:
    script = Script()
    run(script, n=3)
    first, _, third = rows(folder)
    edited = orjson.dumps({**first, "question": "Who is the keeper at this place?"})
    path = folder / "questions-drafted.jsonl"
    path.write_bytes(edited + b"\n" + orjson.dumps(third))  # and an editor left no line break at the end
    run(script, n=3)
    found = rows(folder)
    assert len(found) == 3
    assert (orjson.dumps(found[0]), found[1]) == (edited, third)
    assert len(script.drafted) == len(set(script.drafted)) == 4


def test_a_question_whose_attempt_was_lost_in_a_crash_is_not_asked_twice(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    script = Script()
    run(script, n=2)
    (tmp_path / "attempts.jsonl").unlink()
    run(script, n=4)
    assert len(script.drafted) == 4
    assert len({row["id"] for row in rows(folder)}) == 4


def test_a_line_that_a_person_broke_is_named(run: Run, folder: Path) -> None:
    (folder / "questions-drafted.jsonl").write_text('{"id": "drafted-1"}\n')
    with pytest.raises(SetError) as caught:
        run(Script())
    assert caught.value.subject.endswith("questions-drafted.jsonl, line 1")


def test_what_the_model_does_not_answer_itself_is_not_kept(run: Run, folder: Path) -> None:
    script = Script()
    script.knows = False
    tally = run(script, n=2)
    assert tally.refused["single"] == {Refusal.NOT_ANSWERED: len(PLACES)}
    assert not (folder / "questions-drafted.jsonl").exists()


def test_a_question_that_fits_every_document_is_not_kept(run: Run) -> None:
    script = Script()
    script.write = lambda said: ("Who keeps the harbour as before?", Script.good(said)[1])
    tally = run(script, n=2)
    assert tally.refused["single"] == {Refusal.AMBIGUOUS: len(PLACES)}
    assert script.examined == []  # words are enough


def test_a_question_that_another_passage_answers_otherwise_is_not_kept(
    run: Run, folder: Path, library: Library
) -> None:
    """Two documents speak of the harbour of Ardmore, and name other keepers."""
    (folder / "other.txt").write_text("Old report\n\nThe harbour of Ardmore is kept by Zoe Nox, as before.\n")
    with library.writing():
        index(library, [folder])
    script = Script()
    tally = run(script, n=8)
    assert tally.refused["single"] == {Refusal.AMBIGUOUS: 2}
    assert tally.kept["single"] == len(PLACES) - 1
    assert not any("Ardmore" in str(row["question"]) for row in rows(folder))


def test_a_fact_that_stands_in_two_places_is_not_asked(run: Run, folder: Path, library: Library) -> None:
    again = statement("Ardmore").replace("as before", "said the mayor")
    (folder / "copy.txt").write_text(f"Old report\n\n{again}\n")
    with library.writing():
        index(library, [folder])
    assert run(Script(), n=8).refused["single"] == {Refusal.SEVERAL_PLACES: 2}


def test_a_hidden_document_whose_question_others_fit_is_not_asked(run: Run) -> None:
    script = Script()
    script.write = lambda said: ("Who keeps the harbour as before?", Script.good(said)[1])
    assert run(script, n=0, n_null=1).refused["null"] == {Refusal.STILL_ANSWERED: 1}


def test_a_passage_that_does_not_fit_costs_only_itself(run: Run) -> None:
    script = Script()

    def overflow(said: str) -> tuple[str, str]:
        if len(script.drafted) == 1:
            raise ContextOverflow("full")
        return Script.good(said)

    script.write = overflow
    tally = run(script, n=3)
    assert (tally.kept["single"], tally.refused["single"]) == (3, {Refusal.TOO_LONG: 1})


def test_hidden_documents_are_those_of_the_file_then_drawn_ones(library: Library, folder: Path) -> None:
    collection, path = Collection(library), folder / "questions-drafted.jsonl"
    assert hidden_documents(collection, QuestionFile(path), 0, 0) == []
    (drawn,) = hidden_documents(collection, QuestionFile(path), 3, 0)  # 15 % of 7, at least one
    (name,) = collection.names(drawn)
    other = next(place for place in PLACES if f"{place.lower()}.txt" != name)
    null = {"id": "n", "question": "Who?", "type": "null", "hidden": [f"{other.lower()}.txt"]}
    single = {"id": "s", "question": "Who?", "type": "single", "answers": ["x"], "gold_docs": [name]}
    path.write_bytes(orjson.dumps(null) + b"\n" + orjson.dumps(single) + b"\n")
    (hidden,) = hidden_documents(collection, QuestionFile(path), 3, 0)
    assert collection.names(hidden) == (f"{other.lower()}.txt",)


@pytest.mark.parametrize(
    "value", [[], None, {"key": "a"}, {"key": "a", "role": "x", "written": "", "refused": None}]
)
def test_what_is_no_attempt_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        parse_attempt(value)
    good = Attempt("k", "null", "?\ud800", Refusal.VAGUE)
    assert parse_attempt(orjson.loads(orjson.dumps(good.to_json()))).refused is Refusal.VAGUE
