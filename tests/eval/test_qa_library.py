"""The set's library, its gold documents and what is known of its cost; no model is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qa_samples import SINGLE

from beyondrag.chunk_rag.chunks import library_chunks
from eval.qa.arms import _load, _save
from eval.qa.code import code_fingerprint
from eval.qa.filenames import FileNames
from eval.qa.product import GoldFiles
from eval.qa.shelf import Shelf, default_work
from eval.sets import Question, QuestionSet, SetError
from kvfiles.errors import Cancelled
from library.store import Library


@pytest.fixture
def question_set(tmp_path: Path) -> QuestionSet:
    docs = tmp_path / "a set" / "docs"
    docs.mkdir(parents=True)
    (docs / "harbour.pdf.txt").write_text("Harbour report\n\nThe keeper was 48 years old.\n")
    (docs / "bakery.txt").write_text("Bakery report\n\nThe oven was built in 1921.\n")
    return QuestionSet("a set", tmp_path / "a set", docs, (SINGLE,))


def opened(shelf: Shelf) -> Library:
    with shelf.library(lambda *_: None, lambda: False):
        pass
    return Library.open(shelf.library_root)


def test_a_library_is_made_once_and_follows_the_documents(question_set: QuestionSet, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "work", question_set)
    with opened(shelf) as library:
        first = shelf.fingerprint(library)
        assert library.count() == 2
    with opened(shelf) as library:
        assert shelf.fingerprint(library) == first
    (question_set.documents / "bakery.txt").unlink()
    with opened(shelf) as library:
        assert library.count() == 1
        assert shelf.fingerprint(library) != first
    assert shelf.runs == tmp_path / "work" / "runs" / "a_set.jsonl"


def test_sets_of_the_same_name_have_libraries_of_their_own(question_set: QuestionSet, tmp_path: Path) -> None:
    other = replace(question_set, folder=tmp_path / "b" / "a set")
    assert Shelf(tmp_path, question_set).library_root != Shelf(tmp_path, other).library_root


def test_a_stop_while_parsing(question_set: QuestionSet, tmp_path: Path) -> None:
    with (
        pytest.raises(Cancelled),
        Shelf(tmp_path / "work", question_set).library(lambda *_: None, lambda: True),
    ):
        pass


def test_gold_files_are_found_with_and_without_suffixes(question_set: QuestionSet, tmp_path: Path) -> None:
    with opened(Shelf(tmp_path / "work", question_set)) as library:
        gold = GoldFiles(library)
        by_title = {document.title: document.id for document in library.documents()}
        names = ("harbour", "harbour.pdf", "harbour.pdf.txt", "bakery")
        found = gold.ids(replace(SINGLE, gold_docs=names))
        assert found == (by_title["Harbour report"], by_title["Bakery report"])
        assert gold.ids(replace(SINGLE, gold_docs=())) == ()
        with pytest.raises(SetError, match="not in the set's library") as caught:
            gold.ids(replace(SINGLE, gold_docs=("mill",)))
        assert caught.value.subject == SINGLE.id


def test_a_name_that_fits_two_documents_is_refused(question_set: QuestionSet, tmp_path: Path) -> None:
    (question_set.documents / "bakery.md").write_text("# Another bakery\n\nText.\n")
    with opened(Shelf(tmp_path / "work", question_set)) as library:
        gold = GoldFiles(library)
        with pytest.raises(SetError, match="several"):
            gold.ids(replace(SINGLE, gold_docs=("bakery",)))
        assert len(gold.ids(replace(SINGLE, gold_docs=("bakery.md", "bakery.txt")))) == 2


def test_copies_of_a_document_are_one(question_set: QuestionSet, tmp_path: Path) -> None:
    (question_set.documents / "copy.txt").write_bytes((question_set.documents / "bakery.txt").read_bytes())
    with opened(Shelf(tmp_path / "work", question_set)) as library:
        assert len(GoldFiles(library).ids(replace(SINGLE, gold_docs=("bakery", "copy")))) == 1


def test_chunks_of_a_library_are_cut_from_the_product_s_texts(
    question_set: QuestionSet, tmp_path: Path
) -> None:
    with opened(Shelf(tmp_path / "work", question_set)) as library:
        counted: list[str] = []
        chunks = library_chunks(library, lambda word: counted.append(word) or 1, size=4, overlap=0)
        assert len(counted) == len(set(counted))  # each word is counted once
        words = [library.text(c.document_id).text[c.start : c.end].split() for c in chunks]
        whole = [word for d in library.documents() for word in library.text(d.id).text.split()]
        assert [word for part in words for word in part] == whole


def test_costs_are_kept_also_those_from_before_their_time_was_noted(
    question_set: QuestionSet, tmp_path: Path
) -> None:
    shelf = Shelf(tmp_path / "work", question_set)
    assert shelf.chunk_seconds("chunk-bm25") == 0
    shelf.folder.mkdir(parents=True)
    old = b'{"what":"chunked","profile":"chunk-bm25","seconds":2.0,"tokens":1}\n'
    (shelf.folder / "costs.jsonl").write_bytes(old)
    assert shelf.chunk_seconds("chunk-bm25") == 2.0
    for seconds in (3.0, 5.0, 3.0):
        shelf.note_chunked("chunk-bm25", seconds, 10)
    assert shelf.chunk_seconds("chunk-bm25") == 3.0
    assert len((shelf.folder / "costs.jsonl").read_bytes().splitlines()) == 4


def hiding(question_set: QuestionSet, *names: str) -> QuestionSet:
    null = Question("n1", "Who?", (), (), "null", hidden=names)
    return replace(question_set, questions=(null,))


def test_what_a_question_hides_is_not_in_the_library(question_set: QuestionSet, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "work", question_set)
    with opened(shelf) as library:
        whole = shelf.fingerprint(library)
    (question_set.documents / "copy.txt").write_bytes((question_set.documents / "bakery.txt").read_bytes())
    with opened(Shelf(tmp_path / "work", hiding(question_set, "bakery.txt", "copy"))) as library:
        assert [document.title for document in library.documents()] == ["Harbour report"]
        assert shelf.fingerprint(library) != whole
        with pytest.raises(SetError, match="not in the set's library"):
            GoldFiles(library).ids(replace(SINGLE, gold_docs=("bakery",)))
    (question_set.documents / "harbour.pdf.txt").unlink()
    (question_set.documents / "mill.txt").write_text("Mill report\n\nThe wheel turns.\n")
    with opened(Shelf(tmp_path / "work", hiding(question_set, "bakery.txt", "copy"))) as library:
        assert [document.title for document in library.documents()] == ["Mill report"]
    with opened(shelf) as library:  # hidden no more
        assert {document.title for document in library.documents()} == {"Bakery report", "Mill report"}


@pytest.mark.parametrize(
    ("names", "reason"),
    [(("mill",), "not in the set's library"), (("bakery", "harbour"), "every document is hidden")],
)
def test_hidden_documents_that_cannot_be_hidden(
    question_set: QuestionSet, tmp_path: Path, names: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(SetError, match=reason):
        opened(Shelf(tmp_path / "work", hiding(question_set, *names)))


def test_files_of_one_name_are_told_apart_by_their_folder(question_set: QuestionSet, tmp_path: Path) -> None:
    for year in ("2023.old", "2024"):
        (question_set.documents / year).mkdir()
        (question_set.documents / year / "report.txt").write_text(f"Report\n\nOf {year}.\n")
    with opened(Shelf(tmp_path / "work", question_set)) as library:
        gold = GoldFiles(library)
        names = FileNames(path for document in library.documents() for path in document.paths)
        assert sorted(names.shortest(path) for path in names.paths) == [
            "2023.old/report.txt",
            "2024/report.txt",
            "bakery.txt",
            "harbour.pdf.txt",
        ]
        old, new = (gold.ids(replace(SINGLE, gold_docs=(f"{y}/report",))) for y in ("2023.old", "2024"))
        assert old != new
        with pytest.raises(SetError, match="several"):
            gold.ids(replace(SINGLE, gold_docs=("report",)))
        with pytest.raises(SetError, match="not in"):
            gold.ids(replace(SINGLE, gold_docs=("2023",)))


def test_vectors_are_kept_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "dense.npy"
    assert _load(path, 2) is None
    vectors = np.eye(2, 4, dtype=np.float32)
    _save(path, vectors)
    found = _load(path, 2)
    assert found is not None
    assert np.array_equal(found, vectors)
    assert _load(path, 3) is None
    path.write_bytes(path.read_bytes()[:-4])
    assert _load(path, 2) is None
    _save(path, vectors * np.nan)
    assert _load(path, 2) is None
    assert [file.name for file in path.parent.iterdir()] == ["dense.npy"]


def test_the_work_folder_is_the_user_s_cache(isolated_user: Path) -> None:
    assert default_work() == isolated_user / "xdg-cache" / "beyondrag" / "eval"


def test_the_fingerprint_of_the_code_is_short_and_fixed() -> None:
    assert len(code_fingerprint()) == 12
    assert code_fingerprint() == code_fingerprint()
