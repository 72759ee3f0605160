"""A disk that is really full: a small tmpfs, mounted in a namespace of its own, which needs no privilege."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

N_DOCUMENTS = 5
N_WORDS = 60
STEPS = ("full", "list", "verify", "again", "list again", "verify again")

SCRIPT = r"""
size=$1 disk=$2 python=$3 documents=$4 model=$5
mount -t tmpfs -o "size=$size" tmpfs "$disk" || exit 90
step() { echo "== $1"; shift; "$python" -m beyondrag "$@" --library "$disk/library" 2>&1; echo "code $?"; }
read_all() { step "$1" ingest "$documents" --yes --model "$model" --threads 1 --context 2048; }
read_all full
step list library list --json --model "$model"
step verify library verify
mount -o remount,size=256M "$disk" || exit 91
read_all again
step "list again" library list --json --model "$model"
step "verify again" library verify
"""


def listed(shown: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(shown.splitlines()[0])
    return found


@pytest.mark.slow
@pytest.mark.model
def test_reading_goes_on_once_there_is_room_again(tmp_path: Path, small_model_path: Path) -> None:
    """What was reported done stays, the rest is refused in words, and a second run finishes the work."""
    unshare = shutil.which("unshare")
    documents, disk = tmp_path / "documents", tmp_path / "disk"
    documents.mkdir()
    disk.mkdir()
    mount = [unshare or "", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(disk)]
    if unshare is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here without being root: no user namespaces")
    rng = random.Random(5)
    for number in range(N_DOCUMENTS):
        words = (
            "".join(rng.choices("bdfgklmnprst", k=1) + rng.choices("aeiou", k=1)) for _ in range(N_WORDS)
        )
        (documents / f"{number}.txt").write_text(" ".join(words))
    arguments = ["4000k", str(disk), sys.executable, str(documents), str(small_model_path)]
    done = subprocess.run(
        [unshare, "-rm", "bash", "-c", SCRIPT, "bash", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout
    shown: dict[str, str] = {}
    codes: dict[str, int] = {}
    for name, part in zip(STEPS, done.stdout.split("== ")[1:], strict=True):
        assert part.startswith(name + "\n")
        text, _, code = part.removeprefix(name + "\n").rpartition("code ")
        shown[name], codes[name] = text, int(code)

    assert codes["full"] == 7, shown["full"]
    assert "no space left" in shown["full"].lower()
    assert "try: " in shown["full"]
    assert codes["list"] == codes["list again"] == 0
    ready = [d for d in listed(shown["list"])["documents"] if d["state"] == "ready"]
    assert 0 < len(ready) < N_DOCUMENTS
    assert codes["verify"] == 0, shown["verify"]
    assert codes["again"] == 0, shown["again"]
    again = listed(shown["list again"])["documents"]
    assert [d["state"] for d in again] == ["ready"] * N_DOCUMENTS
    assert codes["verify again"] == 0, shown["verify again"]
