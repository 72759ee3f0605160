"""Several programs at one library: two ingests, and reading while one of them ingests."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from effort import Effort
from inspection import orphans
from small_kv import read

from library.roots import CATALOGUE_NAME
from library.store import Library
from library.upkeep import Upkeep

N_FILES = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Small files below a folder with spaces and letters of other alphabets."""
    place = tmp_path / "Akten und Übersichten 書類"
    for number in range(N_FILES):
        path = place / f"Jahr {number % 4}" / f"größe {number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"The zebra{number} of the file.\n" + "More words stand here.\n" * 20)
    return place


def ingest(folder: Path, root: Path, *options: str) -> subprocess.Popen[str]:
    arguments = ["ingest", str(folder), "--index-only", "--json", "--library", str(root), *options]
    return subprocess.Popen(
        [sys.executable, "-m", "beyondrag", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=600)
    assert "Traceback" not in out + err
    return process.returncode, out, err


def wait_for_documents(n_documents: int, catalogue: Path, process: subprocess.Popen[str]) -> None:
    """Until more than so many are in the catalogue, or the process has ended."""
    while process.poll() is None and count_documents(catalogue) <= n_documents:
        time.sleep(0.005)


def count_documents(catalogue: Path) -> int:
    """As the database says; -1 while there is none yet."""
    try:
        with closing(sqlite3.connect(f"{catalogue.as_uri()}?mode=ro", uri=True)) as connection:
            (n_documents,) = connection.execute("SELECT count(*) FROM documents").fetchone()
            return int(n_documents)
    except sqlite3.Error:
        return -1


def check_all_is_there(root: Path, folder: Path) -> None:
    with Library.open(root) as library:
        assert {document.path for document in library.documents()} == set(map(str, folder.rglob("*.txt")))
        assert Upkeep(library).verify(deep=True).sound
        for number in (0, N_FILES - 1):
            assert library.search(f"zebra{number}")[0].document.name == f"größe {number}.txt"


@pytest.mark.slow
def test_two_ingests_that_wait_for_one_another(folder: Path, root: Path) -> None:
    processes = [ingest(folder, root, "--wait", "60") for _ in range(2)]
    outcomes = [ended(process) for process in processes]
    assert [code for code, _, _ in outcomes] == [0, 0], outcomes
    new = sorted(orjson.loads(out)["files"]["new"] for _, out, _ in outcomes)
    assert new == [0, N_FILES]
    check_all_is_there(root, folder)


@pytest.mark.slow
def test_two_ingests_that_do_not_wait(folder: Path, root: Path) -> None:
    """One of them does it; the other one may come too late, or be told who is at it."""
    processes = [ingest(folder, root) for _ in range(2)]
    outcomes = [ended(process) for process in processes]
    codes = sorted(code for code, _, _ in outcomes)
    assert codes in ([0, 0], [0, 6]), outcomes
    for code, _, err in outcomes:
        if code == 6:
            assert "writing" in err
            assert "try: " in err
    check_all_is_there(root, folder)


@pytest.mark.slow
def test_searching_listing_and_reading_while_another_process_ingests(folder: Path, root: Path) -> None:
    Library.create_or_open(root).close()
    process = ingest(folder, root)
    n_rounds = n_read = 0
    with Library.open(root) as library:
        while process.poll() is None:
            for hit in library.search("zebra words", 5):
                text = library.text(hit.document.id).text
                assert all(passage.text == text[passage.start : passage.end] for passage in hit.passages)
            for document in library.page(5):
                if not library.snapshots(document.id):
                    read(library, document)  # an answer keeps what it had to read
                    n_read += 1
            Upkeep(library).statistics()
            assert {finding.harm for finding in Upkeep(library).verify().findings} <= {"queue"}
            n_rounds += 1
        assert ended(process)[0] == 0
        assert n_rounds > 0
        assert len(library.snapshots()) == n_read
    check_all_is_there(root, folder)


@pytest.mark.slow
def test_a_killed_ingest_is_finished_by_the_next(folder: Path, root: Path, effort: Effort) -> None:
    rng = random.Random(effort.seed)
    rounds = effort.rounds(short=3, long=30)
    killed_with = []
    for number in range(rounds):
        place = root.with_name(f"{root.name} {number}")
        process = ingest(folder, place)
        # Not after a time: on a slow machine all would die before they began.
        wait_for_documents(rng.randrange(-1, N_FILES), place / CATALOGUE_NAME, process)
        time.sleep(rng.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=600)
        if (place / CATALOGUE_NAME).exists():  # else it was killed before it came so far
            with Library.open(place) as library:
                findings = Upkeep(library).verify(deep=True).findings
                assert {finding.harm for finding in findings} <= {"queue", "orphan"}, findings
                killed_with.append(library.count())
        assert ended(ingest(folder, place))[0] == 0
        check_all_is_there(place, folder)
        with Library.open(place) as library:
            Upkeep(library).collect_garbage()
        assert orphans(place) == []
    effort.tell(documents_at_the_kill=killed_with)
