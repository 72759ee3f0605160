"""kill -9 while files are parsed and read side by side: by the command, by a watch, in the app."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from effort import Effort
from guards import PATIENCE_S
from inspection import orphans
from pretend_reading import N_VOLUMES

from library.store import Library
from library.upkeep import Upkeep

N_FILES = 40
HERE = Path(__file__).resolve().parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "Akten und Übersichten 書類"
    place.mkdir()
    for number in range(N_FILES):
        (place / f"größe {number}.txt").write_text(f"The zebra{number} of the file.\nMore words.\n")
    return place


def start(kind: str, root: Path, folder: Path) -> subprocess.Popen[str]:
    paths = [str(HERE), str(HERE.parent), str(HERE.parent.parent)]
    return subprocess.Popen(
        [sys.executable, str(HERE / "reading_victim.py"), kind, str(root), str(folder)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed(process: subprocess.Popen[str], after_volumes: int, after_s: float) -> set[tuple[str, int]]:
    """The volumes that it said it kept until it was killed, so long after so many of them."""
    assert process.stdout is not None
    lines = []
    while len(lines) < after_volumes and (line := process.stdout.readline()):
        lines.append(line)
    time.sleep(after_s)
    os.kill(process.pid, signal.SIGKILL)
    out, _ = process.communicate(timeout=PATIENCE_S)
    told = [line.split() for line in (*lines, *out.splitlines(keepends=True)) if line.endswith("\n")]
    return {(words[1], int(words[2])) for words in told if words[0] == "kept"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ingest", "watch", "app"])
def test_what_was_kept_is_there_and_the_next_run_reads_the_rest(
    kind: str, folder: Path, root: Path, effort: Effort
) -> None:
    rng = random.Random(f"{effort.seed} {kind}")
    kept_at_the_kill = []
    for number in range(effort.rounds(short=1, long=25)):
        place = root.with_name(f"{root.name} {number}")
        process = start(kind, place, folder)
        told = killed(process, rng.randrange(0, N_FILES * N_VOLUMES), rng.uniform(0, 0.1))
        kept_at_the_kill.append(len(told))
        if (place / "catalogue.sqlite3").exists():  # else it was killed before it came so far
            with Library.open(place) as library:
                held = {(record.document_id, record.ordinal) for record in library.snapshots()}
                assert told <= held, "what was told is there"
                assert len(held - told) <= 1, "and nothing that was not under way"
                findings = Upkeep(library).verify(deep=True).findings
                assert {finding.harm for finding in findings} <= {"queue", "orphan"}, findings
        out, err = start(kind, place, folder).communicate(timeout=PATIENCE_S)
        assert out.endswith("end\n"), err
        again = {
            (words[1], int(words[2])) for words in map(str.split, out.splitlines()) if words[0] == "kept"
        }
        assert not told & again, "nothing is read twice"
        with Library.open(place) as library:
            assert library.count() == N_FILES
            assert len(library.snapshots()) == N_FILES * N_VOLUMES
            Upkeep(library).collect_garbage()
            assert Upkeep(library).verify(deep=True).sound
        assert orphans(place) == []
    effort.tell(kind=kind, volumes_at_the_kill=kept_at_the_kill, of=N_FILES * N_VOLUMES)
