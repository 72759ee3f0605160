"""Kill -9 at random moments: what was reported done is there, and the rest is whole or not there."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from effort import Effort
from inspection import orphans
from small_kv import PROFILE, read
from steps import HOT_BOUND, add, identity

from library.integrity import Harm
from library.store import Library
from library.upkeep import Upkeep

LONGEST_S = 0.6
FRESH_EVERY = 50
KINDS = {"index", "replace", "read", "copy", "remove", "prune", "verify --repair", "gc", "export", "import"}
AFTER_A_KILL = {Harm.QUEUE, Harm.ORPHAN}
IMPORTED = {f"/archive/Akte {number}.txt": f"giraffe{number} " * 100 for number in range(4)}


@dataclass
class Shelf:
    """What must be in the library: texts by path, and the ids of documents with a snapshot."""

    texts: dict[str, str] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    def apply(self, step: dict[str, Any]) -> None:
        for path, text in step.get("sets", {}).items():
            if text is None:
                self.texts.pop(path, None)
            else:
                self.texts[path] = text
        if step.get("imports"):
            self.texts = IMPORTED | self.texts  # files that are known stay as they are
            self.read |= {identity(text) for text in IMPORTED.values()}
        self.read |= {identity(self.texts[path]) for path in step.get("reads", ())}
        self.read &= {identity(text) for text in self.texts.values()}


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[str]]:
    script = Path(__file__).with_name("victim.py")
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Four documents with snapshots, in paths of their own."""
    with Library.create_or_open(tmp_path / "elsewhere") as library:
        for path, text in IMPORTED.items():
            read(library, add(library, path, text))
        Upkeep(library).export(tmp_path / "archive.tar")
    return tmp_path / "archive.tar"


def told(log: Path) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The steps that were done, and the one that was under way."""
    done, under_way = [], None
    for line in log.read_bytes().splitlines() if log.exists() else ():
        what, step = orjson.loads(line)
        if what == "done":
            done.append(step)
        under_way = step if what == "begin" else None
    return done, under_way


@dataclass(frozen=True)
class Damage:
    """Done before the child began: to a snapshot (of these documents), to the index, or none."""

    harm: Harm | None = None
    content: str = ""
    documents: frozenset[str] = frozenset()


def damage_something(root: Path, rng: random.Random) -> Damage:
    """Now and then."""
    files = sorted((root / "kv").glob("??/*.kv"))
    if files and rng.random() < 0.2:
        file = rng.choice(files)
        data = bytearray(file.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(data)
        with Library.open(root) as library:
            of = frozenset(r.document_id for r in library.snapshots() if r.path == file)
        return Damage(Harm.SNAPSHOT, file.stem, of)
    segments = sorted((root / "index").glob("*/documents/*.term"))
    if segments and rng.random() < 0.1:
        segments[0].write_bytes(b"")
        return Damage(Harm.INDEX)
    return Damage()


def check(root: Path, shelf: Shelf, under_way: dict[str, Any] | None, damage: Damage) -> None:
    """The library after a kill; `shelf` becomes what is really there."""
    before, after = shelf, Shelf(dict(shelf.texts), set(shelf.read))
    if under_way is not None:
        after.apply(under_way)
    with Library.open(root) as library:
        upkeep = Upkeep(library)
        allowed = AFTER_A_KILL | {damage.harm}
        verdict = upkeep.verify(deep=True)
        assert {finding.harm for finding in verdict.findings} <= allowed, verdict.findings
        assert library.hot.totals().size_bytes <= HOT_BOUND
        dropped = {f.subject for f in verdict.findings if f.harm is Harm.SNAPSHOT}
        assert dropped <= {damage.content}
        dropped = {r.document_id for r in library.snapshots() if r.path.stem in dropped}

        real = Shelf()
        for document in library.documents():
            real.texts |= dict.fromkeys(document.paths, library.text(document.id).text)
            if library.snapshot(document.id, 0, PROFILE.id):
                real.read.add(document.id)
        for path in before.texts.keys() | after.texts.keys() | real.texts.keys():
            assert real.texts.get(path) in (before.texts.get(path), after.texts.get(path)), path
        assert before.read & after.read - damage.documents <= real.read <= before.read | after.read

        report = upkeep.repair(deep=True)
        assert report.left == (), report
        if verdict.findings:
            assert report.done
        for path, text in real.texts.items():
            found = library.search(text.split()[0], limit=3)
            assert path in {held for hit in found for held in hit.document.paths}
        upkeep.collect_garbage()
        assert upkeep.verify(deep=True).findings == ()
        kept = {record.document_id for record in library.snapshots()}
        assert kept == real.read - dropped
    assert orphans(root) == []
    shelf.texts, shelf.read = real.texts, real.read - dropped


def kill_often(
    victim: subprocess.Popen[str], tmp_path: Path, archive: Path, rounds: int, seed: int
) -> Counter[str]:
    """Which steps were under way when the child was killed."""
    assert victim.stdin is not None
    assert victim.stdout is not None
    rng = random.Random(seed)
    root, exported, log = tmp_path / "Bücher 図書", tmp_path / "exported.tar", tmp_path / "log"
    shelf, hit = Shelf(), Counter[str]()
    for number in range(rounds):
        if number % FRESH_EVERY == 0:
            root, shelf = tmp_path / f"Bücher 図書 {number}", Shelf()
        log.unlink(missing_ok=True)
        damage = damage_something(root, rng) if root.exists() else Damage()
        job = {
            "root": str(root),
            "archive": str(archive),
            "exported": str(exported),
            "log": str(log),
            "seed": rng.randrange(1 << 31),
        }
        victim.stdin.write(orjson.dumps(job).decode() + "\n")
        victim.stdin.flush()
        child = int(victim.stdout.readline())
        time.sleep(rng.uniform(0, LONGEST_S))
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        assert int(victim.stdout.readline()) == signal.SIGKILL, f"round {number}: the child failed by itself"
        done, under_way = told(log)
        for step in done:
            shelf.apply(step)
        hit[under_way["step"] if under_way else "between two steps"] += 1
        try:
            if root.exists() and (root / "catalogue.sqlite3").exists():
                check(root, shelf, under_way, damage)
        except BaseException:
            print(f"round {number}: {damage}, done {[s['step'] for s in done]}, under way {under_way}")
            raise
    return hit


@pytest.mark.slow
def test_kills(victim: subprocess.Popen[str], tmp_path: Path, archive: Path, effort: Effort) -> None:
    rounds = effort.rounds(short=12, long=200)
    hit = kill_often(victim, tmp_path, archive, rounds, effort.seed)
    effort.tell(killed_during=dict(hit.most_common()), rounds=rounds)
    if effort.long:
        assert set(hit) >= KINDS
