"""Lists of documents: every order and filter against a plain sort of all states; what long ones cost."""

from __future__ import annotations

import random
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import pytest
from guards import step_limit

from beyondrag.document_state import DocumentState, document_states
from beyondrag.service.door import Door
from beyondrag.service.shelf import LibraryShelf
from library.listing import Order, listed
from library.records import DocumentText, FailureRecord, PageSpan, ReadingProfile, SourceFile, Volume
from library.store import Library

CURRENT, OTHER = "c" * 64, "d" * 64
RANK = {"ready": 0, "indexed": 1, "stale": 2, "missing": 3}
KEYS: dict[Order, Callable[[DocumentState], Any]] = {
    "added": lambda state: 0,
    "title": lambda state: state.document.title.casefold(),
    "pages": lambda state: state.document.n_pages,
    "tokens": lambda state: state.n_tokens or 0,
    "size": lambda state: state.snapshot_bytes,
    "state": lambda state: RANK[state.state],
    "last_read": lambda state: max((s.last_read_at or 0.0 for s in state.snapshots), default=0.0),
}


def add(library: Library, number: int, title: str, path: str, n_pages: int = 1) -> str:
    body = f"{title}\n\nNothing happened on day {number}.\n" * n_pages
    part = len(body) // n_pages
    pages = tuple(PageSpan(str(page), page * part, (page + 1) * part) for page in range(n_pages))
    document_id = sha256(f"{number} {title}".encode()).hexdigest()
    source = SourceFile(path, 10, number)
    library.add(document_id, source, title, "text/plain", DocumentText(body, pages))
    return document_id


def profile(identity: str) -> ReadingProfile:
    return ReadingProfile(identity, "model", "f" * 64, {"codec": "k4v4"})


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Documents in every state, some cut into volumes, with equal titles and letters of several alphabets."""
    chance = random.Random(7)
    with Library.create_or_open(tmp_path / "library") as library, library.writing():
        for identity in (CURRENT, OTHER):
            library.put_profile(profile(identity))
        for number in range(60):
            title = chance.choice(
                ["Report", "report", "Ärger im Büro", "ÄRGER im büro", "Straße", f"Day {number}"]
            )
            path = f"/docs/{chance.choice(['Letters', 'Öffentlich', 'x'])}/{number}.txt"
            document_id = add(library, number, title, path, chance.randint(1, 4))
            read_for = chance.choice([(), (CURRENT,), (OTHER,), (CURRENT, OTHER)])
            for identity in read_for:
                n_volumes = chance.randint(1, 3)
                n_chars = library.document(document_id).n_chars
                cuts = [n_chars * place // n_volumes for place in range(n_volumes + 1)]
                library.put_volumes(
                    document_id,
                    identity,
                    [
                        Volume(document_id, i, cuts[i], cuts[i + 1], chance.randint(1, 9) * 100, "part")
                        for i in range(n_volumes)
                    ],
                )
                for ordinal in range(chance.randint(0, n_volumes)):
                    file = library.snapshot_scratch()
                    file.write_bytes(chance.randbytes(chance.randint(1, 300)))
                    n_tokens = chance.randint(1, 900)
                    record = library.put_snapshot(document_id, ordinal, identity, file, n_tokens, "k4v4")
                    if chance.random() < 0.5:
                        library.note_read([record])
            if chance.random() < 0.2:
                library.mark_missing(path)
    return tmp_path / "library"


@pytest.mark.parametrize("order", get_args(Order))
@pytest.mark.parametrize("profile_id", [CURRENT, OTHER, None])
def test_every_order_is_that_of_all_states_sorted(mixed: Path, order: Order, profile_id: str | None) -> None:
    with Library.open(mixed) as library:
        states = document_states(library, profile_id)
        assert {state.state for state in states} >= {"missing", "stale"}
        for descending in (False, True):
            expected = sorted(states, key=KEYS[order], reverse=descending)
            found = listed(library, profile_id, order=order, descending=descending)
            assert found.ids == tuple(state.document.id for state in expected)
            assert found.n_tokens == sum(state.n_tokens or 0 for state in states)


@pytest.mark.parametrize(
    "contains", ["report", "REPORT", "ärger", "STRASSE", "öffentlich", "/docs/x/", "%", "_"]
)
def test_the_filter_takes_titles_and_paths_in_any_case_and_no_pattern(mixed: Path, contains: str) -> None:
    shelf = LibraryShelf(Door(mixed), lambda: CURRENT)
    wanted = contains.casefold()
    every = shelf.states()
    expected = [
        state.document.id
        for state in every
        if any(wanted in text.casefold() for text in (state.document.title, *state.document.paths))
    ]
    found = shelf.listing(contains)
    assert list(found.ids) == expected
    assert [state.document.id for state in shelf.states(contains, limit=3)] == expected[:3]
    known = {state.document.id: state.n_tokens or 0 for state in every}
    assert found.n_tokens == sum(known[document_id] for document_id in expected)
    shelf.close()


def test_what_is_gone_is_left_out_of_the_rows(mixed: Path) -> None:
    shelf = LibraryShelf(Door(mixed), lambda: CURRENT)
    ids = shelf.listing("", "title").ids
    with Library.open(mixed) as other:
        other.remove(ids[1])
    assert [state.document.id for state in shelf.states_of(ids[:3])] == [ids[0], ids[2]]
    shelf.close()


def test_statistics_and_failures(mixed: Path) -> None:
    with Library.open(mixed) as library:
        library.record_failure(
            FailureRecord("/docs/b.pdf", 1, 1, "encrypted", "it has a password", "save it without", 0.0)
        )
        library.record_failure(FailureRecord("/docs/a.pdf", 1, 1, "empty", "it is empty", "remove it", 0.0))
    shelf = LibraryShelf(Door(mixed), lambda: CURRENT)
    statistics = shelf.statistics()
    assert statistics.n_documents == shelf.totals().n_documents == 60
    assert statistics.n_failures == 2
    assert {found.profile_id: found.current for found in statistics.profiles} == {CURRENT: True, OTHER: False}
    assert [(f.path, f.reason, f.remedy) for f in shelf.failures()] == [
        ("/docs/a.pdf", "it is empty", "remove it"),
        ("/docs/b.pdf", "it has a password", "save it without"),
    ]
    shelf.close()


SHOWN = 50


def costs(root: Path, n_documents: int) -> dict[str, tuple[int, int]]:
    """For each way to list: lines of Python, and hundreds of SQLite's instructions, after a commit."""
    with Library.create_or_open(root) as library, library.writing(), library.batch():
        library.put_profile(profile(CURRENT))
        for number in range(n_documents):
            document_id = add(library, number, f"Report {number}", f"/docs/{number:05}.txt")
            volume = Volume(document_id, 0, 0, 10, 100 + number, "whole document")
            library.put_volumes(document_id, CURRENT, [volume])
    n_hundreds = 0

    def count() -> int:
        nonlocal n_hundreds
        n_hundreds += 1
        return 0

    shelf = LibraryShelf(Door(root), lambda: CURRENT)
    shelf._library.get().parts.catalogue._connection.set_progress_handler(count, 100)
    found = {}
    with Library.open(root) as other:
        for order in get_args(Order):
            for contains in ("", "report 1"):
                other.touch(SourceFile("/docs/00001.txt", 10, 1))
                n_hundreds = 0
                with step_limit(100 * n_documents) as steps:
                    shown = shelf.states(contains, order, descending=True, limit=SHOWN)
                assert len(shown) == SHOWN
                found[f"{order} {contains}"] = (steps.n, n_hundreds)
    shelf.close()
    return found


def test_a_long_list_costs_a_little_for_each_document_also_after_a_commit(tmp_path: Path) -> None:
    few, many = costs(tmp_path / "few", 500), costs(tmp_path / "many", 2_000)
    for way, (steps, hundreds) in many.items():
        assert steps < 6 * few[way][0], way
        assert hundreds < 6 * few[way][1], way
        assert steps < 20 * 2_000 + 2_000 * SHOWN, "only what is shown is looked at closely"
