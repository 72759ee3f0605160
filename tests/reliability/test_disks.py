"""A full and a read-only disk, mounted in a namespace of its own, which needs no privilege."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FULL = r"""
disk=$1 python=$2 filler=$3 archive=$4
mount -t tmpfs -o size=1500k tmpfs "$disk" || exit 90
step() { echo "== $1"; shift; "$@" 2>&1; echo "code $?"; }
library() { "$python" -m beyondrag library "$@" --library "$disk/Bücher 1"; }
step fill "$python" "$filler" "$disk/Bücher 1"
step export library export "$disk/x.tar"
step import "$python" -m beyondrag library import "$archive" --library "$disk/Bücher 2"
step verify library verify --deep
echo "== files"; ls -A "$disk"
mount -o remount,size=256M "$disk" || exit 91
step repair library verify --deep --repair
step sound library verify --deep
step refill "$python" "$filler" "$disk/Bücher 1" 60
step again "$python" -m beyondrag library import "$archive" --library "$disk/Bücher 2"
step gc library gc
step "sound again" library verify --deep
"""
READ_ONLY = r"""
root=$1 python=$2 target=$3
mount --bind "$root" "$root" && mount -o remount,ro,bind "$root" || exit 90
for action in list stats verify "verify --repair" gc "remove b.txt --yes" "import $target"; do
    echo "== $action"; "$python" -m beyondrag library $action --library "$root" 2>&1; echo "code $?"
done
"""


def run(script: str, *arguments: Path | str) -> dict[str, tuple[int, str]]:
    """Exit code and output of every step of a script in a namespace of its own."""
    unshare = shutil.which("unshare") or ""
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    done = subprocess.run(
        [unshare, "-rm", "bash", "-c", script, "bash", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout
    steps: dict[str, tuple[int, str]] = {}
    for part in done.stdout.split("== ")[1:]:
        name, _, rest = part.partition("\n")
        shown, _, code = rest.rpartition("code ")
        steps[name] = (int(code), shown) if shown or code.strip().isdigit() else (0, rest)
    return steps


@pytest.fixture(autouse=True)
def may_mount(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    probe = [unshare or "", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if unshare is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here without being root: no user namespaces")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """30 documents with snapshots of 60 kB each: more than the small disk takes."""
    filler = Path(__file__).with_name("filler.py")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(filler), str(tmp_path / "elsewhere"), "30"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    exporting = ["library", "export", str(tmp_path / "a.tar"), "--library", str(tmp_path / "elsewhere")]
    subprocess.run([sys.executable, "-m", "beyondrag", *exporting], check=True, capture_output=True)
    return tmp_path / "a.tar"


@pytest.mark.slow
def test_a_full_disk(tmp_path: Path, archive: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    steps = run(FULL, disk, sys.executable, Path(__file__).with_name("filler.py"), archive)
    code, shown = steps["fill"]
    assert code == 7
    assert "StorageError" in shown
    n_done = shown.count("done ")
    assert n_done > 2
    for step in ("export", "import"):
        code, shown = steps[step]
        assert code == 7, shown
        assert "try: " in shown
    assert "x.tar" not in steps["files"][1]
    assert steps["verify"][0] in (0, 6, 7), steps["verify"]
    assert steps["repair"][0] == 0, steps["repair"]
    for step in ("sound", "refill", "again", "gc", "sound again"):
        assert steps[step][0] == 0, (step, steps[step])
    # `filler` begins with what it reported before: had anything been lost, it would say so.
    assert (
        f"there before: {n_done}" in steps["refill"][1] or f"there before: {n_done + 1}" in steps["refill"][1]
    )
    assert "30" in steps["again"][1]


@pytest.mark.slow
def test_a_read_only_library(tmp_path: Path, archive: Path) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "elsewhere").rglob("*.kv")}
    steps = run(READ_ONLY, tmp_path / "elsewhere", sys.executable, archive)
    assert len(steps) == 7
    for action, (code, shown) in steps.items():
        assert code == 7, (action, shown)
        assert "try: " in shown
    assert {path: path.read_bytes() for path in (tmp_path / "elsewhere").rglob("*.kv")} == before
