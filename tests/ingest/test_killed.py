"""kill -9 at any moment: what was reported is there, and the next run ends where an undisturbed one does."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from guards import PATIENCE_S

import ingest
from library.store import Library

N_FILES = 150
N_MESSAGES = 150
CHILD = """
import sys
from pathlib import Path
from ingest.indexing import index
from library.store import Library
with Library.create_or_open(Path(sys.argv[1])) as library, library.writing(wait_s=600):
    index(library, [Path(sys.argv[2])], on_file=lambda o, *_: print(o.document_id or "", flush=True))
print("end", flush=True)
"""


def make(folder: Path, changed: int) -> None:
    """Files and a mailbox; those with a number below `changed` have another content."""
    folder.mkdir(exist_ok=True)
    for number in range(N_FILES):
        (folder / f"{number:03}.txt").write_text(f"file {number}" + (" changed" if number < changed else ""))
    line = "From a Thu Mar  4 10:00:00 2021\n"
    letters = (
        f"{line}Subject: Letter {number}\n\nbody {number}{' changed' if number < changed else ''}\n\n"
        for number in range(N_MESSAGES)
    )
    (folder / "box.mbox").write_text("".join(letters))


def start(library: Path, folder: Path) -> subprocess.Popen[str]:
    root = Path(ingest.__file__).parent.parent
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(library), str(folder)],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def killed_run(library: Path, folder: Path, after_s: float) -> list[str]:
    """What a run reported before it was killed `after_s` seconds after its first word."""
    process = start(library, folder)
    assert process.stdout is not None
    told = [process.stdout.readline().strip()]
    time.sleep(after_s)
    os.kill(process.pid, signal.SIGKILL)
    told += process.stdout.read().split()
    process.wait()
    process.stdout.close()
    return [line for line in told if line]


@pytest.mark.parametrize(
    "rounds", [4, pytest.param(int(os.environ.get("BEYONDRAG_KILLS", "40")), marks=pytest.mark.slow)]
)
def test_kills_while_indexing_lose_nothing(tmp_path: Path, rounds: int) -> None:
    seed = int(os.environ.get("BEYONDRAG_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    root, folder = tmp_path / "library", tmp_path / "documents"
    make(folder, 0)
    for number in range(rounds):
        told = killed_run(root, folder, chance.uniform(0, 0.6))
        with Library.open(root) as library:
            held = {document.id for document in library.documents()}
        assert set(told) - {"end"} <= held, f"seed {seed}, round {number}"
        make(folder, chance.randrange(N_FILES))
    process = start(root, folder)
    assert process.communicate(timeout=PATIENCE_S)[0].endswith("end\n")
    with Library.open(root) as library:
        present = [document for document in library.documents() if not document.missing]
        assert len(present) == N_FILES + N_MESSAGES
        expected = {(folder / f"{number:03}.txt").read_text() for number in range(N_FILES)}
        texts = {library.text(d.id).text for d in present if d.media_type == "text/plain"}
        assert texts == expected
        assert len(library.search("letter", limit=3)) == 3
        assert library.verify() == []
